import { Button, Group, Stack } from '@mantine/core';
import type { ReactNode } from 'react';
import { useText } from '../text/TextProvider';
import { Section } from './Section';

/** A section that is one form, with its button at the end. */
export function FormSection(props: {
  title: string;
  lead?: string;
  action?: string;
  busy: boolean;
  submit: () => void;
  /** Why it cannot be sent, when it cannot. */
  why?: string;
  children: ReactNode;
}) {
  const { t } = useText();
  return (
    <Section title={props.title} lead={props.lead}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!props.busy) props.submit();
        }}
      >
        <Stack>
          {props.children}
          <Group justify="flex-end">
            <Button type="submit" disabled={props.why !== undefined} title={props.why} loading={props.busy}>
              {props.action ?? t('action.save')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Section>
  );
}
