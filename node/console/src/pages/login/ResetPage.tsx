import { Alert, Button, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import { ButtonLink } from '../../parts/links';
import { PassphraseField } from '../../parts/PassphraseField';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';
import { Outside } from './Outside';
import { secretOfAddress } from './secret';

/** Somebody follows a reset link: they set a new passphrase and log in with it. */
export function ResetPage() {
  const { t } = useText();
  const problemText = useProblemText();
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
        <form
          onSubmit={(event) => {
            event.preventDefault();
            finish.mutate();
          }}
        >
          <Stack>
            {finish.isError && (
              <Alert color="red" role="alert">
                {problemText(finish.error)}
              </Alert>
            )}
            <PassphraseField label={t('field.newPassphrase')} value={password} onChange={setPassword} />
            <Button type="submit" loading={finish.isPending}>
              {t('reset.action')}
            </Button>
          </Stack>
        </form>
      )}
    </Outside>
  );
}
