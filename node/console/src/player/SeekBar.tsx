import { useQuery } from '@tanstack/react-query';
import { type PointerEvent, useRef, useState } from 'react';
import * as api from '../api/calls';
import type { Asset } from '../api/model';
import { clock } from '../text/formats';
import { useText } from '../text/TextProvider';
import { cellAt, loadStoryboard, type StoryboardCell } from './storyboard';
import type { MediaState } from './useMedia';

const previewWidth = 176;

/** The time line: a native range, what is buffered behind it, and a picture of the moment under the pointer. */
export function SeekBar(props: { asset: Asset; media: MediaState; seek: (second: number) => void }) {
  const { t } = useText();
  const { media } = props;
  const bar = useRef<HTMLDivElement>(null);
  const [hover, setHover] = useState<{ x: number; second: number; width: number } | null>(null);
  const cells = useStoryboard(props.asset);
  const move = (event: PointerEvent) => {
    const box = bar.current?.getBoundingClientRect();
    if (!box || media.duration === 0) return;
    const part = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    setHover({ x: part * box.width, second: part * media.duration, width: box.width });
  };
  const share = (second: number) => (media.duration > 0 ? `${(second / media.duration) * 100}%` : '0%');
  return (
    <div ref={bar} className="player-seek" onPointerMove={move} onPointerLeave={() => setHover(null)}>
      {hover && <Preview cell={cellAt(cells, hover.second)} {...hover} />}
      <span className="player-line" aria-hidden="true">
        <span className="player-buffered" style={{ width: share(media.buffered) }} />
        <span className="player-played" style={{ width: share(media.time) }} />
      </span>
      <input
        type="range"
        className="player-range player-seek-input"
        min={0}
        max={Math.max(media.duration, 0.1)}
        step={0.1}
        value={media.time}
        aria-label={t('player.seek')}
        aria-valuetext={t('player.position', { time: clock(media.time), duration: clock(media.duration) })}
        onChange={(event) => props.seek(Number(event.currentTarget.value))}
      />
    </div>
  );
}

function useStoryboard(asset: Asset): StoryboardCell[] {
  const address = api.storyboardUrl(asset.id);
  const query = useQuery({
    queryKey: ['storyboard', asset.id, asset.state],
    queryFn: () => loadStoryboard(address),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return query.data ?? [];
}

function Preview(props: { cell?: StoryboardCell; x: number; second: number; width: number }) {
  const { cell } = props;
  const scale = cell ? previewWidth / cell.width : 1;
  const half = previewWidth / 2;
  const left = Math.max(half, Math.min(props.width - half, props.x));
  return (
    <div className="player-preview" style={{ left }} aria-hidden="true">
      {cell && (
        <div className="player-preview-cut" style={{ width: previewWidth, height: cell.height * scale }}>
          <img src={cell.url} alt="" style={{ transform: `scale(${scale}) translate(${-cell.x}px, ${-cell.y}px)` }} />
        </div>
      )}
      <span>{clock(props.second)}</span>
    </div>
  );
}
