import { PasswordInput, Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import * as api from '../../api/calls';
import { onConfirmNeeded, Problem } from '../../api/client';
import { FormDialog } from '../../parts/FormDialog';
import { useProblemText } from '../../parts/problemText';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';

/** Asks for the passphrase once more when the node wants it before something grave; what was begun then goes on. */
export function ConfirmPassphrase() {
  const { t } = useText();
  const problemText = useProblemText();
  const [asked, setAsked] = useState(false);
  const [passphrase, setPassphrase] = useState('');
  const [wrong, setWrong] = useState<string>();
  const waiting = useRef<((given: boolean) => void)[]>([]);
  const answer = (given: boolean) => {
    setAsked(false);
    setPassphrase('');
    setWrong(undefined);
    for (const one of waiting.current.splice(0)) one(given);
  };
  useEffect(
    () =>
      onConfirmNeeded(
        () =>
          new Promise((resolve) => {
            waiting.current.push(resolve);
            setAsked(true);
          }),
      ),
    [],
  );
  const confirm = useAct({
    act: () => api.confirmPassphrase(passphrase),
    touches: [],
    after: () => answer(true),
    failed: (error) => {
      const isWrong = error instanceof Problem && error.code === 'wrong_credentials';
      setWrong(isWrong ? t('confirmPassphrase.wrong') : problemText(error));
    },
  });
  if (!asked) return null;
  return (
    <FormDialog
      title={t('confirmPassphrase.title')}
      action={t('confirmPassphrase.action')}
      busy={confirm.isPending}
      submit={() => confirm.mutate()}
      close={() => answer(false)}
    >
      <Text size="sm">{t('confirmPassphrase.text')}</Text>
      <PasswordInput
        label={t('field.passphrase')}
        value={passphrase}
        onChange={(event) => setPassphrase(event.currentTarget.value)}
        error={wrong}
        required
        autoComplete="current-password"
        data-autofocus
        visibilityToggleButtonProps={{ 'aria-label': t('passphrase.show') }}
      />
    </FormDialog>
  );
}
