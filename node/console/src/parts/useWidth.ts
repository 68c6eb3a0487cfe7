import { type RefObject, useLayoutEffect, useState } from 'react';

/** The width of an element in CSS pixels, known before the first paint, so that nothing jumps when it becomes known. */
export function useWidth(element: RefObject<HTMLElement | null>): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const target = element.current;
    if (!target) return;
    const take = () => setWidth(target.clientWidth);
    take();
    const observer = new ResizeObserver(take);
    observer.observe(target);
    return () => observer.disconnect();
  }, [element]);
  return width;
}
