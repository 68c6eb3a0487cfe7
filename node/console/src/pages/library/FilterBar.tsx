import { Group, NativeSelect, SegmentedControl, TextInput, VisuallyHidden } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { LayoutGrid, List, Search } from 'lucide-react';
import { useEffect, useState } from 'react';
import { sorts } from '../../api/calls';
import { collectionsQuery } from '../../api/queries';
import type { LibrarySearch } from '../../router';
import { useText } from '../../text/TextProvider';

const from = '/inside/a/$app/library';
const states = ['uploading', 'processing', 'ready', 'failed'] as const;

/** Search, filters, order and looks; all of them live in the address. */
export function FilterBar({ app }: { app: string }) {
  const { t } = useText();
  const search = useSearch({ from });
  const navigate = useNavigate({ from: '/a/$app/library' });
  const collections = useQuery(collectionsQuery(app)).data ?? [];
  const change = (part: Partial<LibrarySearch>) =>
    void navigate({ search: (before: LibrarySearch) => ({ ...before, ...part }), replace: true, resetScroll: false });
  return (
    <Group gap="sm" align="flex-end" role="search" className="filters" aria-label={t('library.filters')}>
      <SearchField value={search.q ?? ''} change={(q) => change({ q: q || undefined })} />
      {!search.trashed && (
        <NativeSelect
          label={t('filter.state')}
          value={search.state ?? ''}
          onChange={(event) => change({ state: event.currentTarget.value || undefined })}
          data={[
            { value: '', label: t('filter.any') },
            ...states.map((state) => ({ value: state, label: t(`state.${state}`) })),
          ]}
        />
      )}
      {collections.length > 0 && (
        <NativeSelect
          label={t('filter.collection')}
          value={search.collection ?? ''}
          onChange={(event) => change({ collection: event.currentTarget.value || undefined })}
          data={[
            { value: '', label: t('filter.all') },
            ...collections.map((one) => ({ value: one.id, label: one.name })),
          ]}
        />
      )}
      <TagField value={search.tag ?? ''} change={(tag) => change({ tag: tag || undefined })} />
      <NativeSelect
        label={t('filter.sort')}
        value={search.sort ?? '-created'}
        onChange={(event) =>
          change({ sort: event.currentTarget.value === '-created' ? undefined : event.currentTarget.value })
        }
        data={sorts.map((sort) => ({ value: sort, label: t(`sort.${sort}`) }))}
      />
      <SegmentedControl
        aria-label={t('view.label')}
        value={search.view ?? 'grid'}
        onChange={(value) => change({ view: value === 'list' ? 'list' : undefined })}
        data={[
          { value: 'grid', label: <IconLabel icon={<LayoutGrid size={16} />} text={t('view.grid')} /> },
          { value: 'list', label: <IconLabel icon={<List size={16} />} text={t('view.list')} /> },
        ]}
      />
    </Group>
  );
}

function IconLabel(props: { icon: React.ReactNode; text: string }) {
  return (
    <span className="icon-label" title={props.text}>
      {props.icon}
      <VisuallyHidden>{props.text}</VisuallyHidden>
    </span>
  );
}

/** Keeps what is being typed at once, and the address a moment later. */
function useTyped(value: string, change: (value: string) => void) {
  const [typed, setTyped] = useState(value);
  const later = useDebouncedCallback(change, 300);
  useEffect(() => setTyped(value), [value]);
  const type = (next: string) => {
    setTyped(next);
    later(next.trim());
  };
  return [typed, type] as const;
}

function SearchField(props: { value: string; change: (value: string) => void }) {
  const { t } = useText();
  const [typed, type] = useTyped(props.value, props.change);
  return (
    <TextInput
      className="grow"
      label={t('filter.search')}
      placeholder={t('filter.searchHint')}
      type="search"
      leftSection={<Search size={16} />}
      value={typed}
      onChange={(event) => type(event.currentTarget.value)}
    />
  );
}

function TagField(props: { value: string; change: (value: string) => void }) {
  const { t } = useText();
  const [typed, type] = useTyped(props.value, props.change);
  return (
    <TextInput
      className="tag-filter"
      label={t('filter.tag')}
      placeholder={t('filter.any')}
      value={typed}
      onChange={(event) => type(event.currentTarget.value)}
    />
  );
}
