import { ActionIcon, Alert, Autocomplete, Button, Group, NumberInput, Stack, Text, TextInput } from '@mantine/core';
import { queryOptions, useQuery } from '@tanstack/react-query';
import { Plus, X } from 'lucide-react';
import { useState } from 'react';
import { call } from '../../api/client';
import type { Cluster } from '../../api/model';
import { keys } from '../../api/queries';
import type { components } from '../../api/schema';
import { FormSection } from '../../parts/FormSection';
import { Loaded } from '../../parts/Loaded';
import { useProblemText } from '../../parts/problemText';
import { useAct } from '../../parts/useAct';
import { useEdited } from '../../parts/useEdited';
import { useText } from '../../text/TextProvider';
import { type Row, type RowTrouble, troublesOf } from './networks';

type SiteMap = components['schemas']['SiteMap'];

const siteMapQuery = queryOptions({
  queryKey: [...keys.cluster, 'site-map'],
  queryFn: () => call<SiteMap>('GET', '/cluster/site-map'),
});

const rowsOf = (map: SiteMap): Row[] =>
  map.networks.map(({ network, site, round_trip_ms }) => ({ network, site, roundTrip: round_trip_ms ?? '' }));

const mapOf = (rows: Row[]): SiteMap => ({
  networks: rows.map(({ network, site, roundTrip }) => ({
    network: network.trim(),
    site: site.trim(),
    round_trip_ms: roundTrip === '' ? null : roundTrip,
  })),
});

/** Networks are as they are saved in whatever order they were typed. */
const same = (own: Row[], saved: Row[]) => {
  const lines = (rows: Row[]) => JSON.stringify(rows.map((row) => JSON.stringify(row)).toSorted());
  return lines(own) === lines(saved);
};

/** Which site is near to whom. */
export function SiteMapSection({ cluster }: { cluster: Cluster }) {
  return <Loaded query={useQuery(siteMapQuery)}>{(saved) => <SiteMapForm cluster={cluster} saved={saved} />}</Loaded>;
}

function SiteMapForm({ cluster, saved }: { cluster: Cluster; saved: SiteMap }) {
  const { t } = useText();
  const problemText = useProblemText();
  const [rows, setRows] = useEdited(rowsOf(saved), same);
  // What is being typed is not called wrong before it is done.
  const [told, setTold] = useState(false);
  const [refused, setRefused] = useState<unknown>();
  const troubles = troublesOf(rows);
  const save = useAct({
    act: () => call<void>('PUT', '/cluster/site-map', { json: mapOf(rows) }),
    done: t('siteMap.saved'),
    touches: [siteMapQuery.queryKey],
    failed: setRefused,
  });
  const submit = () => {
    const wrong = troubles.some((trouble) => trouble.network || trouble.site);
    setTold(wrong);
    setRefused(undefined);
    if (!wrong) save.mutate();
  };
  const change = (at: number, part: Partial<Row>) =>
    setRows(rows.map((row, number) => (number === at ? { ...row, ...part } : row)));
  const sites = [...new Set(cluster.nodes.map((node) => node.site))].toSorted();
  return (
    <FormSection title={t('siteMap.title')} lead={t('siteMap.lead')} busy={save.isPending} submit={submit}>
      {rows.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('siteMap.none')}
        </Text>
      )}
      <Stack gap="xs">
        {rows.map((row, at) => (
          <RowFields
            // biome-ignore lint/suspicious/noArrayIndexKey: a row has no name of its own while it is being typed
            key={at}
            number={at + 1}
            row={row}
            sites={sites}
            trouble={told ? troubles[at] : undefined}
            change={(part) => change(at, part)}
            remove={() => setRows(rows.filter((_, number) => number !== at))}
          />
        ))}
      </Stack>
      {refused !== undefined && (
        <Alert color="red" role="alert">
          {problemText(refused)}
        </Alert>
      )}
      <Group>
        <Button
          variant="default"
          size="xs"
          leftSection={<Plus size={14} />}
          onClick={() => setRows([...rows, { network: '', site: sites[0] ?? '', roundTrip: '' }])}
        >
          {t('siteMap.add')}
        </Button>
      </Group>
    </FormSection>
  );
}

function RowFields(props: {
  number: number;
  row: Row;
  sites: string[];
  trouble: RowTrouble | undefined;
  change: (part: Partial<Row>) => void;
  remove: () => void;
}) {
  const { t } = useText();
  const { row, number, trouble, change } = props;
  const values = { row: number };
  return (
    <div className="site-map-row">
      <TextInput
        aria-label={t('siteMap.networkOf', values)}
        placeholder="10.1.0.0/16"
        spellCheck={false}
        autoComplete="off"
        value={row.network}
        error={trouble?.network && t(trouble.network.key, { network: trouble.network.network })}
        onChange={(event) => change({ network: event.currentTarget.value })}
      />
      <Autocomplete
        aria-label={t('siteMap.siteOf', values)}
        placeholder={t('siteMap.site')}
        data={props.sites}
        value={row.site}
        error={trouble?.site && t(trouble.site)}
        onChange={(site) => change({ site })}
      />
      <NumberInput
        aria-label={t('siteMap.roundTripOf', values)}
        placeholder={t('siteMap.roundTrip')}
        min={0}
        max={60_000}
        allowDecimal={false}
        hideControls
        value={row.roundTrip}
        onChange={(roundTrip) => change({ roundTrip: roundTrip === '' ? '' : Number(roundTrip) })}
      />
      <ActionIcon size="lg" variant="subtle" onClick={props.remove} aria-label={t('siteMap.removeRow', values)}>
        <X size={16} />
      </ActionIcon>
    </div>
  );
}
