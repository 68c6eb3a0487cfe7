import { PasswordInput, Progress, Stack, Text } from '@mantine/core';
import { useText } from '../text/TextProvider';
import type { TextKey } from '../text/t';

/** The shortest passphrase the node takes. */
export const shortestPassphrase = 15;

export interface Strength {
  /** 0 to 4. */
  score: number;
  key: TextKey;
}

const words: TextKey[] = ['strength.0', 'strength.1', 'strength.2', 'strength.3', 'strength.4'];

/** A rough estimate from length, variety and repetition; it advises and never refuses more than the node does. */
export function strengthOf(passphrase: string): Strength {
  const different = new Set(passphrase).size;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(passphrase)).length;
  const bits = Math.min(passphrase.length, different * 1.6) * (2.2 + kinds * 0.75);
  let score = bits < 28 ? 0 : bits < 45 ? 1 : bits < 60 ? 2 : bits < 80 ? 3 : 4;
  if (passphrase.length < shortestPassphrase) score = Math.min(score, 1);
  return { score, key: words[score] ?? 'strength.0' };
}

/** A new passphrase with a meter that says in words what it thinks. */
export function PassphraseField(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  error?: string;
}) {
  const { t } = useText();
  const strength = strengthOf(props.value);
  const color = strength.score < 2 ? 'red' : strength.score < 3 ? 'yellow' : 'green';
  return (
    <Stack gap={6}>
      <PasswordInput
        label={props.label}
        description={t('passphrase.hint', { count: shortestPassphrase })}
        value={props.value}
        onChange={(event) => props.onChange(event.currentTarget.value)}
        autoComplete="new-password"
        minLength={shortestPassphrase}
        required
        error={props.error}
        visibilityToggleButtonProps={{ 'aria-label': t('passphrase.show') }}
      />
      <Progress value={props.value === '' ? 0 : (strength.score + 1) * 20} color={color} size="xs" aria-hidden="true" />
      <Text size="xs" c="dimmed" role="status">
        {props.value === '' ? ' ' : t('passphrase.strength', { strength: t(strength.key) })}
      </Text>
    </Stack>
  );
}
