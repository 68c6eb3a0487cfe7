import { Button, Group, Loader, Text } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useParams, useSearch } from '@tanstack/react-router';
import { Clapperboard, SearchX, Trash2, Upload } from 'lucide-react';
import { lazy, Suspense, useMemo } from 'react';
import type { Asset } from '../../api/model';
import { assetsQuery } from '../../api/queries';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { Empty, ErrorState } from '../../parts/States';
import { useText } from '../../text/TextProvider';
import { mayChange, useMay } from '../shell/session';
import { AssetGrid, GridSkeleton } from './AssetGrid';
import { FilterBar } from './FilterBar';
import { useSelection } from './selection';

const BulkBar = lazy(async () => ({ default: (await import('./BulkBar')).BulkBar }));
const AssetTable = lazy(async () => ({ default: (await import('./AssetTable')).AssetTable }));

/** All assets of an application, or its trash: searched, filtered, sorted, selected. */
export function LibraryPage() {
  const { t } = useText();
  const { app } = useParams({ from: '/inside/a/$app/library' });
  const { view, ...filter } = useSearch({ from: '/inside/a/$app/library' });
  const may = useMay(app);
  const found = useInfiniteQuery(assetsQuery(app, filter));
  const assets = useMemo(() => found.data?.pages.flatMap((page) => page.items) ?? [], [found.data]);
  const selection = useSelection(`${app} ${JSON.stringify(filter)}`);
  const trashed = filter.trashed === true;
  const list = { assets, selection, mayEdit: mayChange(may), more: () => void found.fetchNextPage() };
  return (
    <Page
      title={trashed ? t('trash.title') : t('library.title')}
      lead={trashed ? t('trash.lead') : undefined}
      actions={
        !trashed && (
          <ButtonLink
            to="/a/$app/upload"
            params={{ app }}
            leftSection={<Upload size={16} />}
            disabled={!may('upload')}
            title={may('upload') ? undefined : t('why.role')}
          >
            {t('nav.upload')}
          </ButtonLink>
        )
      }
    >
      <FilterBar app={app} />
      <Suspense>
        {selection.count > 0 && <BulkBar app={app} assets={assets} selection={selection} trashed={trashed} />}
      </Suspense>
      {found.isPending && <GridSkeleton />}
      {found.isError && <ErrorState error={found.error} retry={() => void found.refetch()} />}
      {found.isSuccess && assets.length === 0 && (
        <NothingHere app={app} filtered={isFiltered(filter)} trashed={trashed} />
      )}
      <Suspense fallback={<GridSkeleton />}>
        {assets.length > 0 && (view === 'list' ? <AssetTable {...list} /> : <AssetGrid {...list} />)}
      </Suspense>
      <Foot
        count={assets.length}
        loading={found.isFetchingNextPage}
        more={found.hasNextPage ? () => void found.fetchNextPage() : undefined}
      />
    </Page>
  );
}

function isFiltered(filter: Record<string, unknown>): boolean {
  return Object.entries(filter).some(([name, value]) => value !== undefined && name !== 'trashed' && name !== 'sort');
}

function Foot(props: { count: number; loading: boolean; more?: () => void }) {
  const { t } = useText();
  if (props.count === 0) return null;
  return (
    <Group justify="center" gap="sm" mih={36}>
      <Text size="sm" c="dimmed" role="status">
        {t('library.shown', { count: props.count })}
      </Text>
      {props.loading && <Loader size="xs" aria-label={t('loading')} />}
      {props.more && !props.loading && (
        <Button variant="subtle" size="xs" onClick={props.more}>
          {t('action.more')}
        </Button>
      )}
    </Group>
  );
}

function NothingHere(props: { app: string; filtered: boolean; trashed: boolean }) {
  const { t } = useText();
  const may = useMay(props.app);
  if (props.filtered) {
    return (
      <Empty icon={<SearchX />} title={t('library.noMatch')} text={t('library.noMatchText')}>
        <ButtonLink
          variant="light"
          to="/a/$app/library"
          params={{ app: props.app }}
          search={{ trashed: props.trashed || undefined }}
        >
          {t('library.clear')}
        </ButtonLink>
      </Empty>
    );
  }
  if (props.trashed) return <Empty icon={<Trash2 />} title={t('trash.empty')} text={t('trash.emptyText')} />;
  return (
    <Empty
      icon={<Clapperboard />}
      title={t('library.empty')}
      text={may('upload') ? t('library.emptyText') : t('library.emptyViewer')}
    >
      {may('upload') && (
        <ButtonLink to="/a/$app/upload" params={{ app: props.app }} leftSection={<Upload size={16} />}>
          {t('library.first')}
        </ButtonLink>
      )}
    </Empty>
  );
}

export interface AssetListProps {
  assets: Asset[];
  selection: ReturnType<typeof useSelection>;
  mayEdit: boolean;
  /** Asks for the next page; harmless when there is none. */
  more: () => void;
}
