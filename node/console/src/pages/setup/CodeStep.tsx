import { Button, Stack, Text, TextInput } from '@mantine/core';
import { useText } from '../../text/TextProvider';
import type { SetupDraft } from './draft';

/** The claim code from the machine's screen: proof that one stands in front of it. */
export function CodeStep(props: {
  draft: SetupDraft;
  change: (part: Partial<SetupDraft>) => void;
  fingerprint: string | undefined;
}) {
  const { t } = useText();
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        props.change({ step: 'account' });
      }}
    >
      <Stack mt="md">
        <Text c="dimmed">{t('setup.codeLead')}</Text>
        <TextInput
          label={t('setup.code')}
          value={props.draft.code}
          onChange={(event) => props.change({ code: event.currentTarget.value })}
          autoComplete="one-time-code"
          autoCapitalize="none"
          spellCheck={false}
          required
          autoFocus
          classNames={{ input: 'mono-input' }}
        />
        {props.fingerprint && (
          <Stack gap={4}>
            <Text size="sm">{t('setup.fingerprint')}</Text>
            <Text size="sm" ff="monospace" className="breakable">
              {props.fingerprint}
            </Text>
          </Stack>
        )}
        <Button type="submit">{t('action.next')}</Button>
      </Stack>
    </form>
  );
}
