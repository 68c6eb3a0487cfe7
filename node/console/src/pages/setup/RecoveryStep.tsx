import { Alert, Button, Checkbox, Paper, Stack, Text, Textarea } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { KeyRound } from 'lucide-react';
import { useState } from 'react';
import * as api from '../../api/calls';
import { CopyField } from '../../parts/CopyField';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';

/** What counts of a key that was typed: not the blanks, dashes and capitals people put in. */
const bare = (key: string) => key.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The recovery key, shown once, then typed again from where it was written down. */
export function RecoveryStep(props: { recoveryKey: string | null; confirmed: () => void }) {
  const [written, setWritten] = useState(false);
  if (!props.recoveryKey) return <ConfirmUnseen confirmed={props.confirmed} />;
  if (!written) return <ShowKey recoveryKey={props.recoveryKey} next={() => setWritten(true)} />;
  return <Retype recoveryKey={props.recoveryKey} confirmed={props.confirmed} again={() => setWritten(false)} />;
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

function Retype(props: { recoveryKey: string; confirmed: () => void; again: () => void }) {
  const { t } = useText();
  const [typed, setTyped] = useState('');
  const [wrong, setWrong] = useState(false);
  const confirm = useConfirmation(props.confirmed);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const right = bare(typed) === bare(props.recoveryKey);
        setWrong(!right);
        if (right) confirm.mutate();
      }}
    >
      <Stack mt="md">
        <Text>{t('setup.recoveryConfirmLead')}</Text>
        <ConfirmFault error={confirm.error} />
        <Textarea
          label={t('setup.recoveryKey')}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          error={wrong ? t('setup.recoveryWrong') : undefined}
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
        <Button variant="subtle" onClick={props.again}>
          {t('setup.recoveryAgain')}
        </Button>
      </Stack>
    </form>
  );
}

/** After a reload: the page no longer has the key and nobody else has it, so all it can ask is whether it was written down. */
function ConfirmUnseen({ confirmed }: { confirmed: () => void }) {
  const { t } = useText();
  const [sure, setSure] = useState(false);
  const confirm = useConfirmation(confirmed);
  return (
    <Stack mt="md">
      <Text>{t('setup.recoveryUnseen')}</Text>
      <ConfirmFault error={confirm.error} />
      <Checkbox
        checked={sure}
        onChange={(event) => setSure(event.currentTarget.checked)}
        label={t('setup.recoverySure')}
      />
      <Button onClick={() => confirm.mutate()} loading={confirm.isPending} disabled={!sure}>
        {t('setup.recoveryConfirm')}
      </Button>
    </Stack>
  );
}

function useConfirmation(confirmed: () => void) {
  return useMutation({ mutationFn: api.confirmRecovery, onSuccess: confirmed });
}

function ConfirmFault({ error }: { error: Error | null }) {
  const problemText = useProblemText();
  if (!error) return null;
  return (
    <Alert color="red" role="alert">
      {problemText(error)}
    </Alert>
  );
}
