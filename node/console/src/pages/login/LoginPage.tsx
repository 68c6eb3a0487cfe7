import { Alert, Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Navigate, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import * as api from '../../api/calls';
import { meQuery, systemQuery } from '../../api/queries';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';
import { Outside } from './Outside';

/** Name and passphrase; afterwards back to the page that was asked for. */
export function LoginPage() {
  const { t } = useText();
  const problemText = useProblemText();
  const { next } = useSearch({ from: '/login' });
  const client = useQueryClient();
  const navigate = useNavigate();
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const system = useQuery(systemQuery).data;
  const logIn = useMutation({
    mutationFn: () => api.logIn(username.trim(), password),
    onSuccess: async () => {
      await client.fetchQuery({ ...meQuery, staleTime: 0 });
      await navigate({ href: next ?? '/', replace: true });
    },
  });
  if (system && !system.claimed) return <Navigate to="/setup" replace />;
  return (
    <Outside title={t('login.title')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          logIn.mutate();
        }}
      >
        <Stack>
          {logIn.isError && (
            <Alert color="red" role="alert">
              {problemText(logIn.error)}
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
            autoFocus
          />
          <PasswordInput
            label={t('field.passphrase')}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            autoComplete="current-password"
            required
            visibilityToggleButtonProps={{ 'aria-label': t('passphrase.show') }}
          />
          <Button type="submit" loading={logIn.isPending} fullWidth mt="xs">
            {t('login.action')}
          </Button>
        </Stack>
      </form>
    </Outside>
  );
}
