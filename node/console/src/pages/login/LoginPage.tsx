import { PasswordInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Navigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import * as api from '../../api/calls';
import { systemQuery } from '../../api/queries';
import { useText } from '../../text/TextProvider';
import { EntryForm, UsernameField, useEntry } from './EntryForm';
import { Outside } from './Outside';

/** Name and passphrase; afterwards back to the page that was asked for. */
export function LoginPage() {
  const { t } = useText();
  const { next } = useSearch({ from: '/login' });
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const system = useQuery(systemQuery).data;
  const logIn = useEntry(() => api.logIn(username.trim(), password), next);
  if (system && !system.claimed) return <Navigate to="/setup" replace />;
  return (
    <Outside title={t('login.title')}>
      <EntryForm entry={logIn} action={t('login.action')}>
        <UsernameField value={username} onChange={setUsername} autoFocus />
        <PasswordInput
          label={t('field.passphrase')}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          autoComplete="current-password"
          required
          visibilityToggleButtonProps={{ 'aria-label': t('passphrase.show') }}
        />
      </EntryForm>
    </Outside>
  );
}
