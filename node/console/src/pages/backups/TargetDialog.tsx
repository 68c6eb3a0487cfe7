import { Alert, Group, NativeSelect, NumberInput, Switch, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Problem } from '../../api/client';
import { clusterQuery } from '../../api/queries';
import { FormDialog } from '../../parts/FormDialog';
import { useProblemText } from '../../parts/problemText';
import { useAct } from '../../parts/useAct';
import { useEdited } from '../../parts/useEdited';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import { type BackupTarget, backupsKey, setTarget } from './calls';
import { PlaceFields } from './PlaceFields';
import {
  type Field,
  fieldOf,
  formOf,
  minuteOf,
  type PlaceKind,
  requestOf,
  type TargetForm,
  utcTimeOf,
} from './targetForm';

const kinds: PlaceKind[] = ['folder', 'sftp', 's3'];

/** A place for backups is added or changed. The node tries it before it takes it, and what it says is told at the field. */
export function TargetDialog({ target, close }: { target?: BackupTarget; close: () => void }) {
  const { t } = useText();
  const problemText = useProblemText();
  const [form, setForm] = useEdited(formOf(target));
  const [secret, setSecret] = useState('');
  const [error, setError] = useState<unknown>();
  const change = (part: Partial<TargetForm>) => setForm({ ...form, ...part });
  const save = useAct({
    act: () => {
      setError(undefined);
      return setTarget(target?.id, requestOf(form, secret));
    },
    done: target ? t('saved') : t('backups.added'),
    touches: [backupsKey],
    after: close,
    failed: setError,
  });
  const field = fieldOf(error, form);
  const said = useSaid()(error) ?? (error ? problemText(error) : undefined);
  const errorOf = (one: Field) => (one === field ? said : undefined);
  return (
    <FormDialog
      title={target ? t('backups.changeTitle', { name: target.name }) : t('backups.add')}
      action={target ? t('action.save') : t('action.add')}
      busy={save.isPending}
      submit={() => save.mutate()}
      close={close}
      wide
    >
      <TextInput
        label={t('field.name')}
        required
        data-autofocus
        value={form.name}
        error={errorOf('name')}
        onChange={(event) => change({ name: event.currentTarget.value })}
      />
      <NativeSelect
        label={t('backups.kind')}
        value={form.kind}
        onChange={(event) => {
          setError(undefined);
          change({ kind: event.currentTarget.value as PlaceKind });
        }}
        data={kinds.map((kind) => ({ value: kind, label: t(`backups.kind.${kind}` as TextKey) }))}
      />
      <PlaceFields
        form={form}
        change={change}
        secret={secret}
        setSecret={setSecret}
        secretKept={Boolean(target?.has_secret) && target?.place.kind === form.kind && field !== 'secret'}
        errorOf={errorOf}
      />
      <Schedule form={form} change={change} errorOf={errorOf} />
      <NodeChoice form={form} change={change} error={errorOf('node')} />
      {said && field === undefined && (
        <Alert color="red" role="alert">
          {said}
        </Alert>
      )}
      {save.isPending && (
        <Text size="sm" c="dimmed" role="status">
          {t('backups.trying')}
        </Text>
      )}
    </FormDialog>
  );
}

/** Refusals that the page says better than the node's general words. */
function useSaid(): (error: unknown) => string | undefined {
  const { t } = useText();
  return (error) => {
    if (!(error instanceof Problem)) return undefined;
    if (error.code === 'name_taken') return t('backups.nameTaken');
    if (error.code === 'secret_needed') return t('backups.secretNeeded');
    return undefined;
  };
}

interface PartProps {
  form: TargetForm;
  change: (part: Partial<TargetForm>) => void;
}

/** Minutes to choose from; what was set otherwise stays among them. */
const paces = [0, 2, 5, 15, 30, 60, 180];
const pacesFor = (chosen: number) => [...new Set([...paces, chosen])].sort((one, other) => one - other);

/** Hints below, so that fields side by side stand in one line. */
const below: ('label' | 'input' | 'description' | 'error')[] = ['label', 'input', 'description', 'error'];

/** When it backs up by itself, and for how long a backup stays. */
function Schedule({ form, change, errorOf }: PartProps & { errorOf: (field: Field) => string | undefined }) {
  const { t } = useText();
  return (
    <>
      <Switch
        label={t('backups.daily')}
        description={t('backups.dailyHint')}
        checked={form.daily}
        onChange={(event) => change({ daily: event.currentTarget.checked })}
      />
      <Group grow align="flex-start">
        {form.daily && (
          <TextInput
            type="time"
            inputWrapperOrder={below}
            label={t('backups.at')}
            description={form.time && t('backups.utcHint', { time: utcTimeOf(minuteOf(form.time)) })}
            required
            value={form.time}
            error={errorOf('time')}
            onChange={(event) => change({ time: event.currentTarget.value })}
          />
        )}
        <NumberInput
          inputWrapperOrder={below}
          label={t('backups.keepDays')}
          description={t('backups.keepHint')}
          required
          min={1}
          max={3_650}
          allowDecimal={false}
          value={form.keepDays}
          error={errorOf('keepDays')}
          onChange={(keepDays) => change({ keepDays: Number(keepDays) })}
        />
      </Group>
      {form.daily && (
        <NativeSelect
          label={t('backups.every')}
          description={t('backups.everyHint')}
          value={String(form.every)}
          error={errorOf('every')}
          onChange={(event) => change({ every: Number(event.currentTarget.value) })}
          data={pacesFor(form.every).map((minutes) => ({
            value: String(minutes),
            label: minutes === 0 ? t('backups.everyDay') : t('backups.everyMinutes', { count: minutes }),
          }))}
        />
      )}
    </>
  );
}

/** Which node opens the place: only worth asking where there are several. */
function NodeChoice({ form, change, error }: PartProps & { error: string | undefined }) {
  const { t } = useText();
  const nodes = useQuery(clusterQuery).data?.nodes ?? [];
  if (nodes.length < 2 && form.node === '') return null;
  return (
    <NativeSelect
      label={t('backups.node')}
      description={t('backups.nodeHint')}
      value={form.node}
      error={error}
      onChange={(event) => change({ node: event.currentTarget.value })}
      data={[
        { value: '', label: t('backups.anyNode') },
        ...nodes.map((node) => ({ value: node.id, label: t('backups.onlyNode', { name: node.name }) })),
      ]}
    />
  );
}
