import { Alert, Button, Group, NativeSelect, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { AlertChannels, AlertChannelsChange, ChannelName, Severity } from '../../api/model';
import { alertChannelsQuery, keys } from '../../api/queries';
import { FormSection } from '../../parts/FormSection';
import { Loaded } from '../../parts/Loaded';
import { SecretDialog } from '../../parts/SecretDialog';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import { EmailFields, SyslogFields, WebhookFields } from './ChannelFields';

const severities: Severity[] = ['info', 'warning', 'critical'];
const channels: ChannelName[] = ['webhook', 'syslog', 'email'];

/** Where alerts are told besides this page. */
export function Channels() {
  const { t } = useText();
  const query = useQuery(alertChannelsQuery);
  // Kept outside of the form, which is made anew whenever the settings change: the secret is shown this once.
  const [secret, setSecret] = useState<string>();
  return (
    <Loaded query={query}>
      {(now) => (
        <>
          {secret && (
            <SecretDialog
              title={t('alerts.secretTitle')}
              label={t('alerts.secret')}
              secret={secret}
              close={() => setSecret(undefined)}
            />
          )}
          <ChannelForm key={JSON.stringify({ ...now, troubles: undefined })} now={now} showSecret={setSecret} />
          {channels.some((channel) => now[channel]) && (
            <Section title={t('alerts.test')} lead={t('alerts.testLead')}>
              <Stack gap="sm">
                {channels
                  .filter((channel) => now[channel])
                  .map((channel) => (
                    <Test key={channel} channel={channel} trouble={now.troubles[channel]} />
                  ))}
              </Stack>
            </Section>
          )}
        </>
      )}
    </Loaded>
  );
}

function ChannelForm({ now, showSecret }: { now: AlertChannels; showSecret: (secret: string) => void }) {
  const { t } = useText();
  const [wanted, setWanted] = useState<AlertChannelsChange>({
    least: now.least,
    webhook: now.webhook,
    syslog: now.syslog,
    email: now.email,
  });
  const change = (part: Partial<AlertChannelsChange>) => setWanted({ ...wanted, ...part });
  const save = useAct({
    act: () => api.setAlertChannels(wanted),
    done: t('saved'),
    touches: [keys.alerts],
    after: (answer) => {
      if (answer.webhook_secret) showSecret(answer.webhook_secret);
    },
  });
  return (
    <FormSection
      title={t('alerts.channels')}
      lead={t('alerts.channelsLead')}
      busy={save.isPending}
      submit={() => save.mutate()}
    >
      <NativeSelect
        label={t('alerts.least')}
        description={t('alerts.leastHint')}
        value={wanted.least}
        onChange={(event) => change({ least: event.currentTarget.value as Severity })}
        data={severities.map((one) => ({ value: one, label: t(`alerts.severity.${one}` as TextKey) }))}
      />
      <WebhookFields value={wanted.webhook} change={(webhook) => change({ webhook })} />
      <SyslogFields value={wanted.syslog} change={(syslog) => change({ syslog })} />
      <EmailFields
        value={wanted.email}
        change={(email) => change({ email })}
        passwordSet={now.email_password_set}
        setPassword={(email_password) => change({ email_password })}
      />
    </FormSection>
  );
}

/** Sends one message now and says whether it was taken. */
function Test({ channel, trouble }: { channel: ChannelName; trouble?: string }) {
  const { t } = useText();
  const name = t(`alerts.channel.${channel}` as TextKey);
  const test = useAct({ act: () => api.testAlertChannel(channel), done: t('alerts.tested', { name }), touches: [] });
  return (
    <div>
      <Group justify="space-between">
        <Text>{name}</Text>
        <Button
          size="xs"
          variant="default"
          loading={test.isPending}
          onClick={() => test.mutate()}
          aria-label={t('alerts.testWhat', { name })}
        >
          {t('alerts.testSend')}
        </Button>
      </Group>
      {trouble && (
        <Alert color="yellow" mt="xs">
          {t('alerts.trouble', { why: trouble })}
        </Alert>
      )}
    </div>
  );
}
