import {
  ActionIcon,
  Button,
  Group,
  MultiSelect,
  Stack,
  TagsInput,
  Text,
  Textarea,
  TextInput,
  Tooltip,
} from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Plus, X } from 'lucide-react';
import { useMemo } from 'react';
import * as api from '../../api/calls';
import type { Asset } from '../../api/model';
import { collectionsQuery, keys, tagsQuery } from '../../api/queries';
import { FormSection } from '../../parts/FormSection';
import { useAct } from '../../parts/useAct';
import { useEdited } from '../../parts/useEdited';
import { useText } from '../../text/TextProvider';
import type { AssetProps } from './AssetPage';

interface Field {
  key: number;
  name: string;
  value: string;
}

let nextKey = 1;

const rowsOf = (fields: Asset['fields']): Field[] =>
  Object.entries(fields).map(([name, value]) => ({ key: nextKey++, name, value }));

/** Rows without a name are not saved. */
const namedOf = (rows: Field[]): Asset['fields'] =>
  Object.fromEntries(rows.filter((row) => row.name.trim() !== '').map((row) => [row.name.trim(), row.value]));

const sorted = (fields: Asset['fields']) => Object.entries(fields).sort(([one], [other]) => (one < other ? -1 : 1));
const sameFields = (one: Asset['fields'], other: Asset['fields']) =>
  JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));

/** Title, description, tags, collections and the organisation's own fields. */
export function Describe({ asset, may }: AssetProps) {
  const mayEdit = may('describe');
  const { t } = useText();
  const [title, setTitle] = useEdited(asset.title, (own, saved) => own.trim() === saved);
  const [description, setDescription] = useEdited(asset.description);
  const [tags, setTags] = useEdited(asset.tags);
  const [collections, setCollections] = useEdited(asset.collections);
  const savedFields = useMemo(() => rowsOf(asset.fields), [asset.fields]);
  const [fields, setFields] = useEdited(savedFields, (own, saved) => sameFields(namedOf(own), namedOf(saved)));
  const known = useQuery(collectionsQuery(asset.application)).data ?? [];
  const usedTags = useQuery({ ...tagsQuery(asset.application), enabled: mayEdit, retry: false }).data ?? [];
  const save = useAct({
    act: () =>
      api.changeAsset(asset.id, {
        title: title.trim(),
        description,
        tags,
        collections,
        fields: namedOf(fields),
      }),
    done: t('saved'),
    touches: [keys.asset(asset.id), keys.assets(asset.application)],
  });
  return (
    <FormSection
      title={t('asset.description')}
      busy={save.isPending}
      submit={() => save.mutate()}
      why={mayEdit ? undefined : t('why.role')}
    >
      <TextInput
        label={t('field.title')}
        required
        readOnly={!mayEdit}
        value={title}
        onChange={(event) => setTitle(event.currentTarget.value)}
      />
      <Textarea
        label={t('field.description')}
        autosize
        minRows={3}
        maxRows={14}
        readOnly={!mayEdit}
        value={description}
        onChange={(event) => setDescription(event.currentTarget.value)}
      />
      <TagsInput
        label={t('field.tags')}
        description={t('field.tagsHint')}
        readOnly={!mayEdit}
        value={tags}
        onChange={setTags}
        data={usedTags.map((one) => one.tag)}
      />
      {known.length > 0 && (
        <MultiSelect
          label={t('collections.title')}
          readOnly={!mayEdit}
          value={collections}
          onChange={setCollections}
          data={known.map((one) => ({ value: one.id, label: one.name }))}
        />
      )}
      <FieldList fields={fields} change={setFields} mayEdit={mayEdit} />
    </FormSection>
  );
}

function FieldList(props: { fields: Field[]; change: (fields: Field[]) => void; mayEdit: boolean }) {
  const { t } = useText();
  const { fields, change } = props;
  const set = (key: number, part: Partial<Field>) =>
    change(fields.map((field) => (field.key === key ? { ...field, ...part } : field)));
  return (
    <Stack gap="xs" role="group" aria-label={t('field.own')}>
      <Text size="sm" fw={500}>
        {t('field.own')}
      </Text>
      {fields.map((field) => (
        <Group key={field.key} gap="xs" wrap="nowrap" align="flex-end">
          <TextInput
            label={t('field.name')}
            readOnly={!props.mayEdit}
            value={field.name}
            onChange={(event) => set(field.key, { name: event.currentTarget.value })}
          />
          <TextInput
            className="grow"
            label={t('field.value')}
            readOnly={!props.mayEdit}
            value={field.value}
            onChange={(event) => set(field.key, { value: event.currentTarget.value })}
          />
          <Tooltip label={t('field.removeWhat', { name: field.name })}>
            <ActionIcon
              mb={5}
              disabled={!props.mayEdit}
              aria-label={t('field.removeWhat', { name: field.name })}
              onClick={() => change(fields.filter((one) => one.key !== field.key))}
            >
              <X size={18} />
            </ActionIcon>
          </Tooltip>
        </Group>
      ))}
      <Group>
        <Button
          size="xs"
          variant="subtle"
          leftSection={<Plus size={14} />}
          disabled={!props.mayEdit}
          onClick={() => change([...fields, { key: nextKey++, name: '', value: '' }])}
        >
          {t('field.add')}
        </Button>
      </Group>
    </Stack>
  );
}
