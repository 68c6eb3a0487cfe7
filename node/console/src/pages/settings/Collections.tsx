import { Button, Group, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import * as api from '../../api/calls';
import type { Collection } from '../../api/model';
import { collectionsQuery, keys } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { useConfirm } from '../../parts/Dialogs';
import { Loaded } from '../../parts/Loaded';
import { TextLink } from '../../parts/links';
import { NameDialog } from '../../parts/NameDialog';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import { useMay } from '../shell/session';
import { RetentionDialog } from './RetentionDialog';

/** The collections of an application: make, rename, remove. */
export function Collections({ app }: { app: string }) {
  const { t, formats } = useText();
  const confirm = useConfirm();
  const query = useQuery(collectionsQuery(app));
  const [renaming, setRenaming] = useState<Collection | null>(null);
  const [retaining, setRetaining] = useState<Collection | null>(null);
  const may = useMay(app);
  const remove = useAct({
    act: api.deleteCollection,
    done: t('collections.removed'),
    touches: [keys.collections(app)],
  });
  const ask = async (collection: Collection) => {
    const sure = await confirm({
      title: t('collections.removeTitle', { name: collection.name }),
      text: t('collections.removeText'),
      action: t('action.remove'),
      dangerous: true,
    });
    if (sure) remove.mutate(collection.id);
  };
  return (
    <Section title={t('collections.title')} lead={t('collections.lead')}>
      {may('collections') && <NewCollection app={app} />}
      <Loaded query={query}>
        {(all) =>
          all.length > 0 && (
            <DataTable
              label={t('collections.title')}
              rows={all}
              rowKey={(one) => one.id}
              columns={[
                {
                  title: t('field.name'),
                  cell: (one) => (
                    <TextLink to="/a/$app/library" params={{ app }} search={{ collection: one.id }}>
                      {one.name}
                    </TextLink>
                  ),
                },
                { title: t('collections.count'), cell: (one) => formats.number(one.asset_count ?? 0) },
                {
                  title: t('collections.retention'),
                  cell: (one) =>
                    one.retention_days ? t('days', { count: one.retention_days }) : t('collections.retentionNone'),
                },
                {
                  title: t('field.actions'),
                  right: true,
                  cell: (one) => (
                    <Group gap={4} justify="flex-end">
                      <Button
                        variant="subtle"
                        size="xs"
                        disabled={!may('retention')}
                        title={may('retention') ? undefined : t('why.role')}
                        onClick={() => setRetaining(one)}
                        aria-label={t('collections.retentionOf', { name: one.name })}
                      >
                        {t('collections.retentionAction')}
                      </Button>
                      <Button
                        variant="subtle"
                        size="xs"
                        disabled={!may('collections')}
                        onClick={() => setRenaming(one)}
                        aria-label={t('collections.renameWhat', { name: one.name })}
                      >
                        {t('action.rename')}
                      </Button>
                      <Button
                        variant="subtle"
                        size="xs"
                        color="red"
                        disabled={!may('collections')}
                        onClick={() => void ask(one)}
                        aria-label={t('collections.removeWhat', { name: one.name })}
                      >
                        {t('action.remove')}
                      </Button>
                    </Group>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {retaining && <RetentionDialog app={app} collection={retaining} close={() => setRetaining(null)} />}
      {renaming && (
        <NameDialog
          title={t('collections.rename')}
          action={t('action.rename')}
          name={renaming.name}
          act={(name) => api.renameCollection(renaming.id, name)}
          done={t('saved')}
          touches={[keys.collections(app)]}
          close={() => setRenaming(null)}
        />
      )}
    </Section>
  );
}

function NewCollection({ app }: { app: string }) {
  const { t } = useText();
  const [name, setName] = useState('');
  const create = useAct({
    act: () => api.createCollection(app, name.trim()),
    done: t('collections.made'),
    touches: [keys.collections(app)],
    after: () => setName(''),
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create.mutate();
      }}
    >
      <Group align="flex-end">
        <TextInput
          className="grow"
          label={t('collections.new')}
          required
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <Button type="submit" variant="light" loading={create.isPending}>
          {t('action.add')}
        </Button>
      </Group>
    </form>
  );
}
