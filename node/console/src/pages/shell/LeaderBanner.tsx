import { Alert } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ShieldAlert } from 'lucide-react';
import { useEffect, useState } from 'react';
import { statusQuery } from '../../api/queries';
import { useText } from '../../text/TextProvider';

const lookEvery = 10_000;
const lookAgain = 1_000;
/** Another node leads within a second or two of the loss of one: that is nobody's business. */
const patience = 3_000;

/** Says so on every page when no node leads for a while: nothing can be changed then, and no event tells of it. */
export function LeaderBanner() {
  const { t } = useText();
  const status = useQuery({
    ...statusQuery,
    refetchInterval: (query) => (query.state.data?.has_leader === false ? lookAgain : lookEvery),
  });
  const leaderless = status.data?.has_leader === false;
  const [told, setTold] = useState(false);
  useEffect(() => {
    if (!leaderless) return setTold(false);
    const timer = setTimeout(() => setTold(true), patience);
    return () => clearTimeout(timer);
  }, [leaderless]);
  if (!told) return null;
  return (
    <Alert icon={<ShieldAlert size={18} />} color="red" mb="md" role="status" title={t('noLeader')}>
      {t('noLeaderText')}
    </Alert>
  );
}
