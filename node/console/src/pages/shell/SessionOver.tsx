import { FocusTrap, Group, Paper, PasswordInput, Portal, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useId, useState } from 'react';
import * as api from '../../api/calls';
import { meQuery } from '../../api/queries';
import { useText } from '../../text/TextProvider';
import { EntryForm, UsernameField, useEntry } from '../login/EntryForm';
import { Logo } from './Logo';

/**
 * Covers the page when the session of `person` ended: nothing of it is to be seen, and whoever logs in again finds it as
 * they left it, with what was being typed.
 */
export function SessionOver(props: { person: string }) {
  const { t } = useText();
  const title = useId();
  const [username, setUsername] = useState(props.person);
  const [password, setPassword] = useState('');
  const logIn = useEntry(() => api.logIn(username.trim(), password), { stay: true });
  // Another tab may have opened the door meanwhile.
  useQuery({ ...meQuery, staleTime: 0, refetchOnMount: false, refetchOnWindowFocus: 'always' });
  return (
    <Portal>
      <FocusTrap active>
        <div role="dialog" aria-modal="true" aria-labelledby={title} className="outside session-over">
          <Stack gap="lg" className="outside-card">
            <Group justify="center">
              <Logo />
            </Group>
            <Paper withBorder p={{ base: 'lg', sm: 'xl' }} radius="lg" className="card">
              <Stack gap="lg">
                <Title order={1} ta="center" id={title}>
                  {t('login.title')}
                </Title>
                <Text size="sm" c="dimmed">
                  {t('login.over')}
                </Text>
                <EntryForm entry={logIn} action={t('login.action')}>
                  <UsernameField value={username} onChange={setUsername} />
                  <PasswordInput
                    label={t('field.passphrase')}
                    value={password}
                    onChange={(event) => setPassword(event.currentTarget.value)}
                    autoComplete="current-password"
                    required
                    data-autofocus
                    visibilityToggleButtonProps={{ 'aria-label': t('passphrase.show') }}
                  />
                </EntryForm>
              </Stack>
            </Paper>
          </Stack>
        </div>
      </FocusTrap>
    </Portal>
  );
}
