import { Alert, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Plus, ShieldAlert, ShieldCheck } from 'lucide-react';
import { useState } from 'react';
import type { Cluster } from '../../api/model';
import { clusterQuery, statusQuery } from '../../api/queries';
import { Loaded } from '../../parts/Loaded';
import { Page } from '../../parts/Page';
import { useText } from '../../text/TextProvider';
import { CopiesSection } from './CopiesSection';
import { EdgesSection } from './EdgesSection';
import { JoinDialog } from './JoinDialog';
import { KeysSection } from './KeysSection';
import { NodeCard } from './NodeCard';
import { SiteMapSection } from './SiteMapSection';

/** How often the page asks how the nodes do; their silence is no event. */
const lookEvery = 3_000;
/** So many copies of everything, so many nodes. */
const enough = 3;

/** The nodes by site, what may still break, how everything is kept, and how nodes come and go. */
export function ClusterPage() {
  const { t } = useText();
  const query = useQuery({ ...clusterQuery, refetchInterval: lookEvery });
  const [joining, setJoining] = useState(false);
  return (
    <Page
      title={t('cluster.title')}
      lead={t('cluster.lead')}
      actions={
        <Button leftSection={<Plus size={16} />} onClick={() => setJoining(true)} disabled={!query.data}>
          {t('cluster.join')}
        </Button>
      }
    >
      <Loaded query={query}>
        {(cluster) => (
          <>
            <Safety cluster={cluster} />
            <Sites cluster={cluster} />
            <CopiesSection cluster={cluster} />
            <SiteMapSection cluster={cluster} />
            <EdgesSection />
            <KeysSection cluster={cluster} />
            {joining && <JoinDialog cluster={cluster} close={() => setJoining(false)} />}
          </>
        )}
      </Loaded>
    </Page>
  );
}

/** What may fail with nothing lost and changes still possible. */
function Safety({ cluster }: { cluster: Cluster }) {
  const { t } = useText();
  const status = useQuery(statusQuery).data;
  // One that leads nobody any more is named as the leader where it is.
  if (!cluster.leader || status?.has_leader === false) {
    return (
      <Alert color="red" icon={<ShieldAlert size={18} />} title={t('cluster.noLeader')}>
        {t('cluster.noLeaderText')}
      </Alert>
    );
  }
  const silent = cluster.nodes.filter((node) => !node.alive);
  const few = cluster.nodes.length < enough;
  const good = cluster.nodes_to_lose > 0 && silent.length === 0;
  const sites = cluster.sites_to_lose > 0 ? t('cluster.canLoseSite') : t('cluster.canLoseNoSite');
  return (
    <Alert
      color={good ? undefined : 'yellow'}
      icon={good ? <ShieldCheck size={18} /> : <ShieldAlert size={18} />}
      title={
        cluster.nodes_to_lose > 0
          ? t('cluster.canLose', { count: cluster.nodes_to_lose })
          : t(few ? 'cluster.underProtected' : 'cluster.canLoseNone')
      }
    >
      {silent.length > 0 && `${t('cluster.silent', { count: silent.length })} `}
      {few ? t('cluster.fewNodes', { count: cluster.nodes.length }) : sites}
    </Alert>
  );
}

/** Sites side by side, their nodes below one another. */
function Sites({ cluster }: { cluster: Cluster }) {
  const { t } = useText();
  const sites = [...new Set(cluster.nodes.map((node) => node.site))].toSorted();
  return (
    <div className="sites">
      {sites.map((site) => (
        <section key={site} aria-label={t('inside.site', { site })}>
          <h2 className="site-name">{t('inside.site', { site })}</h2>
          <ul className="plain-list site-nodes">
            {cluster.nodes
              .filter((node) => node.site === site)
              .map((node) => (
                <NodeCard key={node.id} node={node} last={cluster.nodes.length === 1} />
              ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
