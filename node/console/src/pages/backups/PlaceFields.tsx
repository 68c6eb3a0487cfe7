import { Checkbox, Group, NativeSelect, NumberInput, PasswordInput, Stack, Textarea, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import type { Field, TargetForm } from './targetForm';

export interface PlaceProps {
  form: TargetForm;
  change: (part: Partial<TargetForm>) => void;
  secret: string;
  setSecret: (secret: string) => void;
  /** What opens it is known, and stays unless another is typed. */
  secretKept: boolean;
  /** What the node said of a field. */
  errorOf: (field: Field) => string | undefined;
}

type Text = 'path' | 'host' | 'username' | 'hostKey' | 'endpoint' | 'region' | 'bucket' | 'prefix' | 'accessKey';

/** One line of text of the form, with its label and hint. */
function Line(props: PlaceProps & { field: Text; optional?: boolean; placeholder?: string; hint?: TextKey }) {
  const { t } = useText();
  const { form, field, change } = props;
  return (
    <TextInput
      label={t(`backups.field.${field}` as TextKey)}
      description={props.hint && t(props.hint)}
      placeholder={props.placeholder}
      required={!props.optional}
      autoComplete="off"
      spellCheck={false}
      value={form[field]}
      error={props.errorOf(field)}
      onChange={(event) => change({ [field]: event.currentTarget.value })}
    />
  );
}

/** What the chosen kind of place needs to be found and opened. */
export function PlaceFields(props: PlaceProps) {
  switch (props.form.kind) {
    case 'folder':
      return <Line {...props} field="path" placeholder="/mnt/backup" hint="backups.folderHint" />;
    case 'sftp':
      return <SftpFields {...props} />;
    case 's3':
      return <S3Fields {...props} />;
  }
}

function SftpFields(props: PlaceProps) {
  const { t } = useText();
  return (
    <>
      <Group grow align="flex-start">
        <Line {...props} field="host" placeholder="nas.example.org" />
        <NumberInput
          label={t('backups.field.port')}
          required
          min={1}
          max={65_535}
          hideControls
          value={props.form.port}
          error={props.errorOf('port')}
          onChange={(port) => props.change({ port: Number(port) })}
        />
      </Group>
      <Line {...props} field="hostKey" placeholder="SHA256:…" hint="backups.hostKeyHint" />
      <Group grow align="flex-start">
        <Line {...props} field="username" />
        <Line {...props} field="path" placeholder="/backups" />
      </Group>
      <SftpSecret {...props} />
    </>
  );
}

/** A password in a line that hides it, or a private key with its many lines. */
function SftpSecret(props: PlaceProps) {
  const { t } = useText();
  const [how, setHow] = useState<'password' | 'key'>('password');
  return (
    <Stack gap="xs">
      <NativeSelect
        label={t('backups.logIn')}
        value={how}
        onChange={(event) => {
          setHow(event.currentTarget.value as typeof how);
          props.setSecret('');
        }}
        data={[
          { value: 'password', label: t('backups.byPassword') },
          { value: 'key', label: t('backups.byKey') },
        ]}
      />
      {how === 'password' ? (
        <Secret {...props} label={t('backups.byPassword')} />
      ) : (
        <Textarea
          label={t('backups.byKey')}
          description={t('backups.keyHint')}
          placeholder={props.secretKept ? t('backups.secretKept') : '-----BEGIN OPENSSH PRIVATE KEY-----'}
          required={!props.secretKept}
          autosize
          minRows={3}
          maxRows={8}
          autoComplete="off"
          spellCheck={false}
          value={props.secret}
          error={props.errorOf('secret')}
          onChange={(event) => props.setSecret(event.currentTarget.value)}
        />
      )}
    </Stack>
  );
}

function Secret(props: PlaceProps & { label: string }) {
  const { t } = useText();
  return (
    <PasswordInput
      label={props.label}
      placeholder={props.secretKept ? t('backups.secretKept') : undefined}
      required={!props.secretKept}
      autoComplete="new-password"
      visibilityToggleButtonProps={{ 'aria-label': t('backups.showSecret') }}
      value={props.secret}
      error={props.errorOf('secret')}
      onChange={(event) => props.setSecret(event.currentTarget.value)}
    />
  );
}

function S3Fields(props: PlaceProps) {
  const { t } = useText();
  const { form, change } = props;
  return (
    <>
      <Line {...props} field="endpoint" placeholder="https://s3.example.org" />
      <Group grow align="flex-start">
        <Line {...props} field="bucket" />
        <Line {...props} field="prefix" optional placeholder="mediakeep/" />
        <Line {...props} field="region" optional placeholder="us-east-1" />
      </Group>
      <Group grow align="flex-start">
        <Line {...props} field="accessKey" />
        <Secret {...props} label={t('backups.secretKey')} />
      </Group>
      <Checkbox
        label={t('backups.objectLock')}
        description={t('backups.objectLockHint')}
        checked={form.objectLock}
        onChange={(event) => change({ objectLock: event.currentTarget.checked })}
      />
      <Textarea
        label={t('alerts.authority')}
        description={t('alerts.authorityHint')}
        autosize
        minRows={1}
        maxRows={4}
        value={form.authority}
        error={props.errorOf('authority')}
        onChange={(event) => change({ authority: event.currentTarget.value })}
      />
    </>
  );
}
