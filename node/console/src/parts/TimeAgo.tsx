import { Tooltip } from '@mantine/core';
import { useText } from '../text/TextProvider';

/** "3 minutes ago", with the exact time for those who hover or read the markup. */
export function TimeAgo({ ms }: { ms: number }) {
  const { formats } = useText();
  return (
    <Tooltip label={formats.dateTime(ms)}>
      <time dateTime={new Date(ms).toISOString()}>{formats.relative(ms, Date.now())}</time>
    </Tooltip>
  );
}
