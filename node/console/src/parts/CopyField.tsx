import { ActionIcon, CopyButton, Group, Text, Tooltip } from '@mantine/core';
import { Check, Copy } from 'lucide-react';
import { useText } from '../text/TextProvider';

/** A value to take along, in type that tells 0 from O, with a copy button. */
export function CopyField(props: { value: string; label: string; large?: boolean }) {
  const { t } = useText();
  return (
    <Group gap="xs" wrap="nowrap" className="copy-field">
      <Text ff="monospace" size={props.large ? 'md' : 'sm'} className="breakable" flex={1}>
        {props.value}
      </Text>
      <CopyButton value={props.value}>
        {({ copied, copy }) => (
          <Tooltip label={copied ? t('action.copied') : t('action.copy')}>
            <ActionIcon onClick={copy} aria-label={t('action.copyWhat', { what: props.label })}>
              {copied ? <Check size={16} /> : <Copy size={16} />}
            </ActionIcon>
          </Tooltip>
        )}
      </CopyButton>
    </Group>
  );
}
