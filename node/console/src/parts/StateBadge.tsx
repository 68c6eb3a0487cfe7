import type { AssetState, Job } from '../api/model';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';

type Shown = AssetState | Job['state'];

const look: Record<Shown, { color: string; key: TextKey }> = {
  uploading: { color: 'blue', key: 'state.uploading' },
  processing: { color: 'yellow', key: 'state.processing' },
  ready: { color: 'green', key: 'state.ready' },
  failed: { color: 'red', key: 'state.failed' },
  queued: { color: 'grey', key: 'state.queued' },
  running: { color: 'yellow', key: 'state.running' },
  finished: { color: 'green', key: 'state.finished' },
  cancelled: { color: 'grey', key: 'state.cancelled' },
};

/** The state of an asset or a job as a word, never as a colour alone. */
export function StateBadge(props: { state: Shown; percent?: number }) {
  const { t, formats } = useText();
  const { color, key } = look[props.state];
  return (
    <span className={`state state-${color}`}>
      {t(key)}
      {props.percent !== undefined && ` ${formats.percent(props.percent / 100)}`}
    </span>
  );
}
