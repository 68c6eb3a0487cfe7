import { Alert, Button, Stack, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { meQuery } from '../../api/queries';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';

/** What is sent, whether it is on its way, and why it was refused. */
interface Entry {
  mutate: () => void;
  isPending: boolean;
  isError: boolean;
  error: unknown;
}

/** The form of a page for people outside: the refusal above the fields, one button below. */
export function EntryForm(props: { entry: Entry; action: string; children: ReactNode }) {
  const problemText = useProblemText();
  const { entry } = props;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!entry.isPending) entry.mutate();
      }}
    >
      <Stack>
        {entry.isError && (
          <Alert color="red" role="alert">
            {problemText(entry.error)}
          </Alert>
        )}
        {props.children}
        <Button type="submit" loading={entry.isPending} fullWidth mt="xs">
          {props.action}
        </Button>
      </Stack>
    </form>
  );
}

/** Sends what opens the door; then the person is in and goes to `next`, or stays with the page that is below the form. */
export function useEntry(send: () => Promise<unknown>, next: string | { stay: true } = '/') {
  const client = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: send,
    onSuccess: async () => {
      await client.fetchQuery({ ...meQuery, staleTime: 0 });
      if (typeof next === 'string') await navigate({ href: next, replace: true });
      else await client.invalidateQueries();
    },
  });
}

export function UsernameField(props: { value: string; onChange: (name: string) => void; autoFocus?: boolean }) {
  const { t } = useText();
  return (
    <TextInput
      label={t('field.username')}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
      autoComplete="username"
      autoCapitalize="none"
      spellCheck={false}
      required
      autoFocus={props.autoFocus}
    />
  );
}
