import { Button, Group, Modal, Stack } from '@mantine/core';
import type { ReactNode } from 'react';
import { useText } from '../text/TextProvider';

/** A short form in a dialog. */
export function FormDialog(props: {
  title: string;
  action: string;
  busy: boolean;
  submit: () => void;
  close: () => void;
  /** Room for more than a few short fields. */
  wide?: boolean;
  children: ReactNode;
}) {
  const { t } = useText();
  return (
    <Modal
      opened
      onClose={props.close}
      title={props.title}
      size={props.wide ? 'lg' : undefined}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!props.busy) props.submit();
        }}
      >
        <Stack>
          {props.children}
          <Group justify="flex-end">
            <Button variant="default" onClick={props.close}>
              {t('action.cancel')}
            </Button>
            <Button type="submit" loading={props.busy}>
              {props.action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
