import { Badge, Group, Progress, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { Hourglass } from 'lucide-react';
import type { Asset } from '../../api/model';
import { assetQuery } from '../../api/queries';
import { ButtonLink, TextLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { useReasonText } from '../../parts/reasonText';
import { StateBadge } from '../../parts/StateBadge';
import { Empty, ErrorState, RowsSkeleton, takesThePage } from '../../parts/States';
import { TimeAgo } from '../../parts/TimeAgo';
import { Player } from '../../player/Player';
import { useText } from '../../text/TextProvider';
import { useProgress } from '../library/useProgress';
import { mayChange, useMay } from '../shell/session';

/** Watch one asset. */
export function WatchPage() {
  const { t } = useText();
  const { asset: id } = useParams({ from: '/inside/watch/$asset' });
  const found = useQuery({
    ...assetQuery(id),
    // Not watchable yet: the event stream tells, and this asks in case it could not.
    refetchInterval: (query) => (query.state.data && !query.state.data.watchable ? 3_000 : false),
  });
  if (found.isPending) return <RowsSkeleton rows={4} />;
  if (found.data === undefined || takesThePage(found)) {
    return (
      <Page title={t('watch.title')}>
        <ErrorState error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  return <Watch asset={found.data} />;
}

function Watch({ asset }: { asset: Asset }) {
  const { t } = useText();
  const may = useMay(asset.application);
  return (
    <div className="watch">
      {asset.watchable ? <Player key={asset.id} asset={asset} /> : <NotYet asset={asset} />}
      <Page
        title={asset.title}
        actions={
          mayChange(may) && (
            <ButtonLink variant="default" to="/asset/$asset" params={{ asset: asset.id }}>
              {t('asset.details')}
            </ButtonLink>
          )
        }
      >
        <Stack gap="sm">
          <Group gap="xs">
            <Text size="sm" c="dimmed">
              <TimeAgo ms={asset.created_ms} />
            </Text>
            {asset.state !== 'ready' && <StateBadge state={asset.state} />}
            {asset.tags.map((tag) => (
              <TextLink
                key={tag}
                to="/a/$app/library"
                params={{ app: asset.application }}
                search={{ tag }}
                underline="never"
              >
                <Badge variant="default" tt="none" fw={500}>
                  {tag}
                </Badge>
              </TextLink>
            ))}
          </Group>
          {asset.description && <Text className="prose">{asset.description}</Text>}
          <Fields fields={asset.fields} />
        </Stack>
      </Page>
    </div>
  );
}

function Fields({ fields }: { fields: Record<string, string> }) {
  const entries = Object.entries(fields);
  if (entries.length === 0) return null;
  return (
    <dl className="facts">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function NotYet({ asset }: { asset: Asset }) {
  const { t } = useText();
  const reasonText = useReasonText();
  const progress = useProgress(asset);
  if (asset.state === 'failed') {
    return <Empty icon={<Hourglass />} title={t('watch.failed')} text={reasonText(asset)} />;
  }
  return (
    <Empty icon={<Hourglass />} title={t('watch.notYet')} text={t('watch.notYetText')}>
      {progress && <Progress value={progress.percent} w={240} aria-label={t('progress.of', { title: asset.title })} />}
    </Empty>
  );
}
