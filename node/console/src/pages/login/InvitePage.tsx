import { Alert, Text } from '@mantine/core';
import { useState } from 'react';
import * as api from '../../api/calls';
import { PassphraseField } from '../../parts/PassphraseField';
import { useText } from '../../text/TextProvider';
import { EntryForm, UsernameField, useEntry } from './EntryForm';
import { Outside } from './Outside';
import { secretOfAddress } from './secret';

/** Somebody follows an invitation: they choose a name and a passphrase, and are in. */
export function InvitePage() {
  const { t } = useText();
  const [secret] = useState(secretOfAddress);
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const accept = useEntry(() => api.acceptInvite({ secret, username: username.trim(), password }));
  return (
    <Outside title={t('invite.title')}>
      {secret === '' ? (
        <Alert color="red">{t('invite.noSecret')}</Alert>
      ) : (
        <EntryForm entry={accept} action={t('invite.action')}>
          <Text size="sm" c="dimmed">
            {t('invite.lead')}
          </Text>
          <UsernameField value={username} onChange={setUsername} />
          <PassphraseField label={t('field.newPassphrase')} value={password} onChange={setPassword} />
        </EntryForm>
      )}
    </Outside>
  );
}
