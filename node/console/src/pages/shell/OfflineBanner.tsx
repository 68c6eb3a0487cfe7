import { Alert } from '@mantine/core';
import { WifiOff } from 'lucide-react';
import { useSyncExternalStore } from 'react';
import { connection, subscribeConnection } from '../../api/connection';
import { useText } from '../../text/TextProvider';

/** Says so when there is no network or the node does not answer; uploads wait and go on by themselves. */
export function OfflineBanner() {
  const { t } = useText();
  const now = useSyncExternalStore(subscribeConnection, connection);
  if (now === 'there') return null;
  return (
    <Alert icon={<WifiOff size={18} />} color="yellow" mb="md" role="status">
      {now === 'offline' ? t('offline') : t('unreachable')}
    </Alert>
  );
}
