import { Stack, Text } from '@mantine/core';
import { CopyField } from '../../parts/CopyField';
import { Section } from '../../parts/Section';
import { useText } from '../../text/TextProvider';

/** How everything of an application is taken along. By its id: a name could hold what a shell takes for its own. */
export function ExportSection(props: { app: string }) {
  const { t } = useText();
  return (
    <Section title={t('settings.export')} lead={t('settings.exportLead')}>
      <Stack gap="xs">
        <CopyField value={`mediakeep login --url ${window.location.origin}`} label={t('settings.exportLogin')} />
        <CopyField value={`mediakeep export --application ${props.app} export`} label={t('settings.exportCommand')} />
        <Text size="sm" c="dimmed">
          {t('settings.exportHint')}
        </Text>
      </Stack>
    </Section>
  );
}
