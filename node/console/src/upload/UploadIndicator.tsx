import { RingProgress, Tooltip, UnstyledButton } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useText } from '../text/TextProvider';
import { isOpen } from './queue';
import { useUploads } from './useUploads';

/** A small ring in the header while uploads run; leads to their list. */
export function UploadIndicator() {
  const { t } = useText();
  const items = useUploads();
  const navigate = useNavigate();
  const open = items.filter((item) => isOpen(item.state));
  const first = open[0];
  if (!first) return null;
  const size = open.reduce((sum, item) => sum + item.size, 0);
  const sent = open.reduce((sum, item) => sum + item.sent, 0);
  const percent = size === 0 ? 0 : (sent / size) * 100;
  const label = t('upload.running', { count: open.length, percent: Math.floor(percent) });
  return (
    <Tooltip label={label}>
      <UnstyledButton
        onClick={() => void navigate({ to: '/a/$app/upload', params: { app: first.application } })}
        aria-label={label}
      >
        <RingProgress size={34} thickness={4} sections={[{ value: percent, color: 'tide' }]} aria-hidden="true" />
      </UnstyledButton>
    </Tooltip>
  );
}
