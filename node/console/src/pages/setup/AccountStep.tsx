import { Alert, Button, Group, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import { keys, meQuery } from '../../api/queries';
import { PassphraseField } from '../../parts/PassphraseField';
import { useProblemText } from '../../parts/problemText';
import { useText } from '../../text/TextProvider';
import type { SetupDraft } from './draft';

/** The first admin and the first application; sending this claims the node. */
export function AccountStep(props: {
  draft: SetupDraft;
  change: (part: Partial<SetupDraft>) => void;
  claimed: (recoveryKey: string) => void;
}) {
  const { t } = useText();
  const problemText = useProblemText();
  const client = useQueryClient();
  const [password, setPassword] = useState('');
  const claim = useMutation({
    mutationFn: () =>
      api.claim({
        code: props.draft.code.trim(),
        username: props.draft.username.trim(),
        password,
        application_name: props.draft.application.trim(),
      }),
    onSuccess: async (answer) => {
      props.claimed(answer.recovery_key ?? '');
      await client.invalidateQueries({ queryKey: keys.system });
      await client.fetchQuery({ ...meQuery, staleTime: 0 });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        claim.mutate();
      }}
    >
      <Stack mt="md">
        <Text c="dimmed">{t('setup.accountLead')}</Text>
        {claim.isError && (
          <Alert color="red" role="alert">
            {problemText(claim.error)}
          </Alert>
        )}
        <TextInput
          label={t('field.username')}
          value={props.draft.username}
          onChange={(event) => props.change({ username: event.currentTarget.value })}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          required
          autoFocus
        />
        <PassphraseField label={t('field.passphrase')} value={password} onChange={setPassword} />
        <TextInput
          label={t('setup.application')}
          description={t('setup.applicationHint')}
          value={props.draft.application}
          onChange={(event) => props.change({ application: event.currentTarget.value })}
          autoComplete="organization"
          required
        />
        <Group justify="space-between">
          <Button variant="default" onClick={() => props.change({ step: 'code' })}>
            {t('action.back')}
          </Button>
          <Button type="submit" loading={claim.isPending}>
            {t('setup.claim')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
