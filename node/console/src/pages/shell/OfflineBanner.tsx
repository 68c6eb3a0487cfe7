import { Alert } from '@mantine/core';
import { useNetwork } from '@mantine/hooks';
import { WifiOff } from 'lucide-react';
import { useText } from '../../text/TextProvider';

/** Says so when the browser has no network; uploads wait and go on by themselves. */
export function OfflineBanner() {
  const { t } = useText();
  const { online } = useNetwork();
  if (online) return null;
  return (
    <Alert icon={<WifiOff size={18} />} color="yellow" mb="md" role="status">
      {t('offline')}
    </Alert>
  );
}
