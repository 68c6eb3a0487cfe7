import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { createContext, type ReactNode, useCallback, useContext, useState } from 'react';
import { useText } from '../text/TextProvider';

export interface ConfirmQuestion {
  title: string;
  text: ReactNode;
  /** What the button that goes ahead says: a verb. */
  action: string;
  /** True paints the button red. */
  dangerous?: boolean;
  /** When given, this must be typed before the button works. */
  typed?: string;
}

type Ask = (question: ConfirmQuestion) => Promise<boolean>;
interface Open {
  question: ConfirmQuestion;
  answer: (yes: boolean) => void;
}

const AskContext = createContext<Ask | null>(null);

/** The one helper through which every destructive action asks. */
export function DialogProvider(props: { children: ReactNode }) {
  const [open, setOpen] = useState<Open | null>(null);
  const ask = useCallback<Ask>(
    (question) =>
      new Promise((resolve) => {
        setOpen({
          question,
          answer: (yes) => {
            setOpen(null);
            resolve(yes);
          },
        });
      }),
    [],
  );
  return (
    <AskContext value={ask}>
      {props.children}
      {open && <ConfirmDialog question={open.question} answer={open.answer} />}
    </AskContext>
  );
}

function ConfirmDialog({ question, answer }: Open) {
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

/** Asks before something is done that cannot be undone; resolves to what the person chose. */
export function useConfirm(): Ask {
  const ask = useContext(AskContext);
  if (!ask) throw new Error('useConfirm needs a DialogProvider above it');
  return ask;
}
