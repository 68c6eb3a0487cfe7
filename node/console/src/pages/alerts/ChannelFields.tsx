import {
  Group,
  NativeSelect,
  NumberInput,
  PasswordInput,
  Stack,
  Switch,
  TagsInput,
  Textarea,
  TextInput,
} from '@mantine/core';
import type { ReactNode } from 'react';
import type { EmailChannel, SyslogChannel, WebhookChannel } from '../../api/model';
import { useText } from '../../text/TextProvider';

interface Fields<T> {
  value: T | null | undefined;
  change: (value: T | null) => void;
}

/** A switch, and what it asks for once it is on. */
function Part(props: { label: string; hint: string; on: boolean; turn: (on: boolean) => void; children: ReactNode }) {
  return (
    <Stack gap="sm" className="channel">
      <Switch
        label={props.label}
        description={props.hint}
        checked={props.on}
        onChange={(event) => props.turn(event.currentTarget.checked)}
      />
      {props.on && (
        <Stack gap="sm" className="channel-fields">
          {props.children}
        </Stack>
      )}
    </Stack>
  );
}

export function WebhookFields({ value, change }: Fields<WebhookChannel>) {
  const { t } = useText();
  return (
    <Part
      label={t('alerts.channel.webhook')}
      hint={t('alerts.webhookHint')}
      on={Boolean(value)}
      turn={(on) => change(on ? { url: '' } : null)}
    >
      {value && (
        <>
          <TextInput
            label={t('alerts.url')}
            placeholder="https://"
            type="url"
            required
            value={value.url}
            onChange={(event) => change({ ...value, url: event.currentTarget.value })}
          />
          <Authority value={value.authority} change={(authority) => change({ ...value, authority })} />
        </>
      )}
    </Part>
  );
}

export function SyslogFields({ value, change }: Fields<SyslogChannel>) {
  const { t } = useText();
  return (
    <Part
      label={t('alerts.channel.syslog')}
      hint={t('alerts.syslogHint')}
      on={Boolean(value)}
      turn={(on) => change(on ? { host: '', port: 514, transport: 'tcp' } : null)}
    >
      {value && (
        <Group grow align="flex-end">
          <HostAndPort value={value} change={(part) => change({ ...value, ...part })} name="Syslog" />
          <NativeSelect
            label={t('alerts.transport')}
            value={value.transport}
            onChange={(event) => change({ ...value, transport: event.currentTarget.value as 'tcp' | 'udp' })}
            data={[
              { value: 'tcp', label: 'TCP' },
              { value: 'udp', label: 'UDP' },
            ]}
          />
        </Group>
      )}
    </Part>
  );
}

const usual: EmailChannel = { host: '', port: 587, security: 'start_tls', from: '', to: [] };

export function EmailFields(
  props: Fields<EmailChannel> & { passwordSet: boolean; setPassword: (password: string | undefined) => void },
) {
  const { t } = useText();
  const { value, change } = props;
  return (
    <Part
      label={t('alerts.channel.email')}
      hint={t('alerts.emailHint')}
      on={Boolean(value)}
      turn={(on) => change(on ? usual : null)}
    >
      {value && (
        <>
          <Group grow align="flex-end">
            <HostAndPort value={value} change={(part) => change({ ...value, ...part })} name="SMTP" />
            <NativeSelect
              label={t('alerts.security')}
              value={value.security}
              onChange={(event) => change({ ...value, security: event.currentTarget.value as 'tls' | 'start_tls' })}
              data={[
                { value: 'start_tls', label: 'STARTTLS' },
                { value: 'tls', label: 'TLS' },
              ]}
            />
          </Group>
          <Group grow align="flex-start">
            <TextInput
              label={t('alerts.smtpUser')}
              autoComplete="off"
              value={value.username ?? ''}
              onChange={(event) => change({ ...value, username: event.currentTarget.value || null })}
            />
            <PasswordInput
              label={t('alerts.smtpPassword')}
              autoComplete="new-password"
              placeholder={props.passwordSet ? t('alerts.passwordKept') : undefined}
              visibilityToggleButtonProps={{ 'aria-label': t('alerts.showPassword') }}
              onChange={(event) => props.setPassword(event.currentTarget.value || undefined)}
            />
          </Group>
          <TextInput
            label={t('alerts.from')}
            placeholder="mediakeep@example.org"
            required
            value={value.from}
            onChange={(event) => change({ ...value, from: event.currentTarget.value })}
          />
          <TagsInput
            label={t('alerts.to')}
            description={t('alerts.toHint')}
            required
            value={value.to}
            onChange={(to) => change({ ...value, to })}
            maxTags={20}
          />
          <Authority value={value.authority} change={(authority) => change({ ...value, authority })} />
        </>
      )}
    </Part>
  );
}

function HostAndPort(props: {
  value: { host: string; port: number };
  change: (part: { host?: string; port?: number }) => void;
  name: string;
}) {
  const { t } = useText();
  return (
    <>
      <TextInput
        label={t('alerts.host', { name: props.name })}
        required
        value={props.value.host}
        onChange={(event) => props.change({ host: event.currentTarget.value.trim() })}
      />
      <NumberInput
        label={t('alerts.port', { name: props.name })}
        required
        min={1}
        max={65_535}
        hideControls
        value={props.value.port}
        onChange={(port) => props.change({ port: Number(port) })}
      />
    </>
  );
}

function Authority({ value, change }: Fields<string>) {
  const { t } = useText();
  return (
    <Textarea
      label={t('alerts.authority')}
      description={t('alerts.authorityHint')}
      autosize
      minRows={1}
      maxRows={4}
      value={value ?? ''}
      onChange={(event) => change(event.currentTarget.value || null)}
    />
  );
}
