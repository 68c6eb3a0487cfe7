import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useText } from '../text/TextProvider';
import type { OpenQuestion } from './Dialogs';

/** The question, with a name to type where it matters. */
export function ConfirmDialog({ question, answer }: OpenQuestion) {
  const { t } = useText();
  const [typed, setTyped] = useState('');
  const ready = question.typed === undefined || typed.trim() === question.typed.trim();
  return (
    <Modal
      opened
      onClose={() => answer(false)}
      title={question.title}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) answer(true);
        }}
      >
        <Stack>
          <Text component="div" size="sm">
            {question.text}
          </Text>
          {question.typed !== undefined && (
            <TextInput
              label={t('confirm.type', { name: question.typed })}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
              data-autofocus
            />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => answer(false)}>
              {t('action.cancel')}
            </Button>
            <Button type="submit" color={question.dangerous ? 'red' : undefined} disabled={!ready}>
              {question.action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
