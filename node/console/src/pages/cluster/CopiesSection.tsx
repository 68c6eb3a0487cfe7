import { Progress, Stack, Text } from '@mantine/core';
import type { Cluster } from '../../api/model';
import { Section } from '../../parts/Section';
import { clock } from '../../text/formats';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';

/** How many copies everything has on nodes that answer, and the copies that are being made. */
export function CopiesSection({ cluster }: { cluster: Cluster }) {
  const { t, formats } = useText();
  const { copies, repair } = cluster;
  const counts = [
    ['three', copies.assets_with_three, 3],
    ['two', copies.assets_with_two, 2],
    ['one', copies.assets_with_one, 1],
    ['none', copies.assets_with_none, 0],
  ] as const;
  const all = counts.reduce((sum, [, assets]) => sum + assets, 0);
  // Only what there is or should be: a cluster of one has no use for a row of zeros.
  const shown = counts.filter(([, assets, number]) => assets > 0 || number === copies.wanted);
  return (
    <Section title={t('cluster.copies')} lead={t('cluster.copiesLead', { count: copies.wanted })}>
      {all === 0 ? (
        <Text size="sm" c="dimmed">
          {t('cluster.copiesNothing')}
        </Text>
      ) : (
        <dl className="copies">
          {shown.map(([name, assets, number]) => (
            <div key={name} className={number >= copies.wanted ? undefined : 'copies-few'}>
              <dt>{t(`cluster.copies.${name}` as TextKey)}</dt>
              <dd>
                <span className="copies-count">{formats.number(assets)}</span>{' '}
                <span className="copies-share">{formats.percent(assets / all)}</span>
              </dd>
            </div>
          ))}
        </dl>
      )}
      {repair.missing_bytes > 0 && (
        <Stack gap={6} role="status">
          <Progress value={100} striped animated size="sm" aria-hidden="true" />
          <Text size="sm">
            {t('cluster.repairing', { bytes: formats.bytes(repair.missing_bytes) })}
            {repair.eta_ms != null && ` · ${t('upload.left', { time: clock(repair.eta_ms / 1000) })}`}
          </Text>
        </Stack>
      )}
    </Section>
  );
}
