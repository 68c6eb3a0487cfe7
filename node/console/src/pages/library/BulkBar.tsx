import { Button, Group, NativeSelect, Paper, Text, TextInput } from '@mantine/core';
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Asset } from '../../api/model';
import { collectionsQuery, keys } from '../../api/queries';
import { useConfirm } from '../../parts/Dialogs';
import { FormDialog } from '../../parts/FormDialog';
import { useToasts } from '../../parts/Toasts';
import { useText } from '../../text/TextProvider';
import { useMay } from '../shell/session';
import type { Selection } from './selection';

/** What can be done with all ticked assets at once. */
export function BulkBar(props: { app: string; assets: Asset[]; selection: Selection; trashed: boolean }) {
  const { t } = useText();
  const confirm = useConfirm();
  const { selection } = props;
  const act = useBulk(props.app, selection);
  const may = useMay(props.app);
  const [tagging, setTagging] = useState(false);
  const purge = async () => {
    const sure = await confirm({
      title: t('purge.title'),
      text: t('purge.manyText', { count: selection.count }),
      action: t('purge.action'),
      dangerous: true,
      typed: t('purge.word'),
    });
    if (sure) act.mutate({ action: 'purge' });
  };
  return (
    <Paper withBorder p="sm" className="bulk" role="region" aria-label={t('bulk.label')}>
      <Group gap="xs">
        <Text fw={600} size="sm" mr="xs" role="status">
          {t('bulk.count', { count: selection.count })}
        </Text>
        {props.trashed ? (
          <>
            <Button
              size="xs"
              variant="light"
              disabled={!may('trash')}
              onClick={() => act.mutate({ action: 'restore' })}
              loading={act.isPending}
            >
              {t('action.restore')}
            </Button>
            <Button size="xs" variant="light" color="red" disabled={!may('purge')} onClick={() => void purge()}>
              {t('action.purge')}
            </Button>
          </>
        ) : (
          <>
            <Button
              size="xs"
              variant="light"
              disabled={!may('publish')}
              onClick={() => act.mutate({ action: 'publish' })}
              loading={act.isPending}
            >
              {t('action.publish')}
            </Button>
            <Button
              size="xs"
              variant="light"
              disabled={!may('publish')}
              onClick={() => act.mutate({ action: 'unpublish' })}
            >
              {t('action.unpublish')}
            </Button>
            <AddToCollection
              app={props.app}
              busy={act.isPending || !may('describe')}
              add={(collection) => act.mutate({ action: 'add_to_collection', collection })}
            />
            <Button size="xs" variant="light" disabled={!may('describe')} onClick={() => setTagging(true)}>
              {t('bulk.tag')}
            </Button>
            <Button
              size="xs"
              variant="light"
              color="red"
              disabled={!may('trash')}
              onClick={() => act.mutate({ action: 'trash' })}
            >
              {t('action.trash')}
            </Button>
          </>
        )}
        <Button size="xs" variant="subtle" onClick={() => selection.set(props.assets.map((asset) => asset.id))}>
          {t('bulk.all')}
        </Button>
        <Button size="xs" variant="subtle" onClick={selection.clear}>
          {t('bulk.none')}
        </Button>
      </Group>
      {tagging && (
        <TagDialog
          count={selection.count}
          busy={act.isPending}
          add={(tag) => act.mutate({ action: 'add_tag', tag }, { onSuccess: () => setTagging(false) })}
          close={() => setTagging(false)}
        />
      )}
    </Paper>
  );
}

function useBulk(app: string, selection: Selection) {
  const { t } = useText();
  const toasts = useToasts();
  const client = useQueryClient();
  return useMutation({
    mutationFn: (action: api.BulkAction) => api.actOnMany(selection.ids, action),
    onSuccess: async (results) => {
      const refused = results.filter((one) => one.result !== 'ok');
      if (refused.length > 0) toasts.failed(new Error(t('bulk.refused', { count: refused.length })));
      else toasts.done(t('bulk.done', { count: results.length }));
      selection.set(refused.map((one) => one.id));
      await client.invalidateQueries({ queryKey: keys.assets(app) });
    },
    onError: toasts.failed,
  });
}

function AddToCollection(props: { app: string; add: (collection: string) => void; busy: boolean }) {
  const { t } = useText();
  const collections = useQuery(collectionsQuery(props.app)).data ?? [];
  if (collections.length === 0) return null;
  return (
    <NativeSelect
      size="xs"
      aria-label={t('bulk.collection')}
      value=""
      disabled={props.busy}
      onChange={(event) => event.currentTarget.value && props.add(event.currentTarget.value)}
      data={[
        { value: '', label: t('bulk.collection') },
        ...collections.map((one) => ({ value: one.id, label: one.name })),
      ]}
    />
  );
}

function TagDialog(props: { count: number; busy: boolean; add: (tag: string) => void; close: () => void }) {
  const { t } = useText();
  const [tag, setTag] = useState('');
  return (
    <FormDialog
      title={t('bulk.tagTitle', { count: props.count })}
      action={t('action.add')}
      busy={props.busy}
      submit={() => tag.trim() !== '' && props.add(tag.trim())}
      close={props.close}
    >
      <TextInput
        label={t('filter.tag')}
        required
        data-autofocus
        value={tag}
        onChange={(event) => setTag(event.currentTarget.value)}
      />
    </FormDialog>
  );
}
