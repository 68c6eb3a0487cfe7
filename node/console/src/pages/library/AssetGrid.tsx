import { Skeleton } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useRef } from 'react';
import { useWidth } from '../../parts/useWidth';
import { useText } from '../../text/TextProvider';
import { AssetCard } from './AssetCard';
import type { AssetListProps } from './LibraryPage';

const narrowestCard = 232;
const gap = 20;
/** Title and meta below the picture. */
const textHeight = 78;

/** Cards in rows; only the rows near the window exist, so ten thousand assets scroll like ten. */
export function AssetGrid(props: AssetListProps) {
  const { t } = useText();
  const top = useRef<HTMLDivElement>(null);
  const width = useWidth(top);
  const columns = Math.max(1, Math.floor((width + gap) / (narrowestCard + gap)));
  const cardWidth = (width - gap * (columns - 1)) / columns;
  const rowHeight = (cardWidth * 9) / 16 + textHeight + gap;
  const rows = useWindowVirtualizer({
    count: width === 0 ? 0 : Math.ceil(props.assets.length / columns),
    estimateSize: () => rowHeight,
    overscan: 4,
    scrollMargin: top.current?.offsetTop ?? 0,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows change height with the width of a card
  useLayoutEffect(() => rows.measure(), [rowHeight]);
  useNearEnd(rows.getVirtualItems().at(-1)?.index ?? 0, Math.ceil(props.assets.length / columns), props.more);
  return (
    <div ref={top}>
      <div className="grid" style={{ height: rows.getTotalSize() }} role="list" aria-label={t('library.title')}>
        {rows.getVirtualItems().map((row) => (
          <div
            key={row.key}
            className="grid-row"
            role="presentation"
            style={{
              transform: `translateY(${row.start - rows.options.scrollMargin}px)`,
              gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
            }}
          >
            {props.assets.slice(row.index * columns, (row.index + 1) * columns).map((asset) => (
              <AssetCard key={asset.id} asset={asset} selection={props.selection} mayEdit={props.mayEdit} />
            ))}
          </div>
        ))}
      </div>
    </div>
  );
}

/** Asks for more when the last rows come near. */
export function useNearEnd(lastShown: number, count: number, more: () => void): void {
  const ask = useRef(more);
  ask.current = more;
  useEffect(() => {
    if (count > 0 && lastShown >= count - 3) ask.current();
  }, [lastShown, count]);
}

export function GridSkeleton() {
  const { t } = useText();
  return (
    <div className="grid-skeleton" role="status" aria-label={t('loading')}>
      {Array.from({ length: 8 }, (_, card) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: grey boxes have no identity
        <div key={card}>
          <Skeleton className="skeleton-picture" />
          <Skeleton height={14} mt="sm" width="70%" />
          <Skeleton height={12} mt={8} width="40%" />
        </div>
      ))}
    </div>
  );
}
