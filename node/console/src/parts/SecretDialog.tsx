import { Alert, Button, Modal, Paper, Stack } from '@mantine/core';
import { useText } from '../text/TextProvider';
import { CopyField } from './CopyField';

/** A secret that is shown this once: an API key, an invitation, a reset link. */
export function SecretDialog(props: { title: string; label: string; secret: string; close: () => void }) {
  const { t } = useText();
  return (
    <Modal
      opened
      onClose={props.close}
      title={props.title}
      size="lg"
      closeOnClickOutside={false}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <Stack>
        <Alert color="yellow">{t('secret.once')}</Alert>
        <Paper withBorder p="md" className="secret">
          <CopyField value={props.secret} label={props.label} />
        </Paper>
        <Button onClick={props.close}>{t('secret.done')}</Button>
      </Stack>
    </Modal>
  );
}
