import { type RefObject, useEffect, useState } from 'react';

const quietFor = 3_000;

/** True after a while without pointer or key over `ref`, while `watched`; controls then fade but stay reachable by Tab. */
export function useIdle(ref: RefObject<HTMLElement | null>, watched: boolean): boolean {
  const [idle, setIdle] = useState(false);
  useEffect(() => {
    const element = ref.current;
    if (!element || !watched) {
      setIdle(false);
      return;
    }
    let timer: ReturnType<typeof setTimeout>;
    const active = () => {
      setIdle(false);
      clearTimeout(timer);
      timer = setTimeout(() => setIdle(true), quietFor);
    };
    const names = ['pointermove', 'pointerdown', 'keydown', 'focusin'] as const;
    for (const name of names) element.addEventListener(name, active);
    active();
    return () => {
      clearTimeout(timer);
      for (const name of names) element.removeEventListener(name, active);
    };
  }, [ref, watched]);
  return idle;
}
