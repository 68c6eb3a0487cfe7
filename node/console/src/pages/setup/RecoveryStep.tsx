import { Alert, Button, Paper, Stack, Text, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { KeyRound } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import { CopyField } from '../../parts/CopyField';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';

/**
 * The recovery key, shown once, then typed again from where it was written down; the node checks it.
 *
 * After a reload the page no longer has it: it asks for what was written down, or makes a new key in its place.
 */
export function RecoveryStep(props: { recoveryKey: string | null; confirmed: () => void }) {
  const [shown, setShown] = useState(props.recoveryKey);
  const [written, setWritten] = useState(props.recoveryKey === null);
  if (shown && !written) return <ShowKey recoveryKey={shown} next={() => setWritten(true)} />;
  return (
    <Retype
      again={shown ? () => setWritten(false) : undefined}
      confirmed={props.confirmed}
      replaced={(key) => {
        setShown(key);
        setWritten(false);
      }}
    />
  );
}

function ShowKey(props: { recoveryKey: string; next: () => void }) {
  const { t } = useText();
  return (
    <Stack mt="md">
      <Text>{t('setup.recoveryLead')}</Text>
      <Paper withBorder p="md" className="secret">
        <CopyField value={props.recoveryKey} label={t('setup.recoveryKey')} large />
      </Paper>
      <Alert icon={<KeyRound size={18} />} color="yellow">
        {t('setup.recoveryOnce')}
      </Alert>
      <Button onClick={props.next}>{t('setup.recoveryWritten')}</Button>
    </Stack>
  );
}

function Retype(props: { confirmed: () => void; again?: () => void; replaced: (recoveryKey: string) => void }) {
  const { t } = useText();
  const problemText = useProblemText();
  const [typed, setTyped] = useState('');
  const confirm = useMutation({ mutationFn: () => api.confirmRecovery(typed.trim()), onSuccess: props.confirmed });
  const replace = useMutation({
    mutationFn: api.newRecoveryKey,
    onSuccess: (made) => props.replaced(made.recovery_key),
  });
  const problem = confirm.error ?? replace.error;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        confirm.mutate();
      }}
    >
      <Stack mt="md">
        <Text>{t('setup.recoveryConfirmLead')}</Text>
        {problem && (
          <Alert color="red" role="alert">
            {problemText(problem)}
          </Alert>
        )}
        <Textarea
          label={t('setup.recoveryKey')}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          autosize
          minRows={3}
          autoComplete="off"
          spellCheck={false}
          required
          classNames={{ input: 'mono-input' }}
        />
        <Button type="submit" loading={confirm.isPending}>
          {t('setup.recoveryConfirm')}
        </Button>
        {props.again ? (
          <Button variant="subtle" onClick={props.again}>
            {t('setup.recoveryAgain')}
          </Button>
        ) : (
          <Button variant="subtle" loading={replace.isPending} onClick={() => replace.mutate()}>
            {t('setup.recoveryNew')}
          </Button>
        )}
      </Stack>
    </form>
  );
}
