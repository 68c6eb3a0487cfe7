import { Alert, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { ShieldAlert, ShieldCheck } from 'lucide-react';
import { meQuery, statusQuery } from '../../api/queries';
import { ButtonLink } from '../../parts/links';
import { useText } from '../../text/TextProvider';

/** What was set up, what protects it, and the way in. */
export function SummaryStep({ leave }: { leave: () => void }) {
  const { t } = useText();
  const me = useQuery(meQuery).data;
  const status = useQuery(statusQuery).data;
  return (
    <Stack mt="md">
      <Text>{t('setup.summary', { name: me?.user.username ?? '', application: me?.applications[0]?.name ?? '' })}</Text>
      {status?.key_mode_warning ? (
        <Alert color="yellow" icon={<ShieldAlert size={18} />}>
          {status.key_mode_warning}
        </Alert>
      ) : (
        <Alert icon={<ShieldCheck size={18} />}>{t('setup.sealed')}</Alert>
      )}
      <ButtonLink to="/" onClick={leave}>
        {t('setup.open')}
      </ButtonLink>
    </Stack>
  );
}

/** Somebody comes back to `/setup` when it is over. */
export function AlreadyClaimed({ signedIn }: { signedIn: boolean }) {
  const { t } = useText();
  return (
    <Stack>
      <Text ta="center">{t('setup.already')}</Text>
      <ButtonLink to={signedIn ? '/' : '/login'}>{signedIn ? t('setup.open') : t('login.action')}</ButtonLink>
    </Stack>
  );
}
