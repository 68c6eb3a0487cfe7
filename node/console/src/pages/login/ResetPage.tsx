import { Alert, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import { ButtonLink } from '../../parts/links';
import { PassphraseField } from '../../parts/PassphraseField';
import { useText } from '../../text/TextProvider';
import { EntryForm } from './EntryForm';
import { Outside } from './Outside';
import { secretOfAddress } from './secret';

/** Somebody follows a reset link: they set a new passphrase and log in with it. */
export function ResetPage() {
  const { t } = useText();
  const [secret] = useState(secretOfAddress);
  const [password, setPassword] = useState('');
  const finish = useMutation({ mutationFn: () => api.finishReset(secret, password) });
  return (
    <Outside title={t('reset.title')}>
      {secret === '' && <Alert color="red">{t('reset.noSecret')}</Alert>}
      {secret !== '' && finish.isSuccess && (
        <Stack>
          <Text role="status">{t('reset.done')}</Text>
          <ButtonLink to="/login">{t('login.action')}</ButtonLink>
        </Stack>
      )}
      {secret !== '' && !finish.isSuccess && (
        <EntryForm entry={finish} action={t('reset.action')}>
          <PassphraseField label={t('field.newPassphrase')} value={password} onChange={setPassword} />
        </EntryForm>
      )}
    </Outside>
  );
}
