import { Alert, Button, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import * as api from '../../api/calls';
import { meQuery } from '../../api/queries';
import { PassphraseField } from '../../parts/PassphraseField';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';
import { Outside } from './Outside';
import { secretOfAddress } from './secret';

/** Somebody follows an invitation: they choose a name and a passphrase, and are in. */
export function InvitePage() {
  const { t } = useText();
  const problemText = useProblemText();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [secret] = useState(secretOfAddress);
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const accept = useMutation({
    mutationFn: () => api.acceptInvite({ secret, username: username.trim(), password }),
    onSuccess: async () => {
      await client.fetchQuery({ ...meQuery, staleTime: 0 });
      await navigate({ to: '/', replace: true });
    },
  });
  return (
    <Outside title={t('invite.title')}>
      {secret === '' ? (
        <Alert color="red">{t('invite.noSecret')}</Alert>
      ) : (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            accept.mutate();
          }}
        >
          <Stack>
            <Text size="sm" c="dimmed">
              {t('invite.lead')}
            </Text>
            {accept.isError && (
              <Alert color="red" role="alert">
                {problemText(accept.error)}
              </Alert>
            )}
            <TextInput
              label={t('field.username')}
              value={username}
              onChange={(event) => setUsername(event.currentTarget.value)}
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              required
            />
            <PassphraseField label={t('field.newPassphrase')} value={password} onChange={setPassword} />
            <Button type="submit" loading={accept.isPending}>
              {t('invite.action')}
            </Button>
          </Stack>
        </form>
      )}
    </Outside>
  );
}
