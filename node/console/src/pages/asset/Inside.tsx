import { Alert, List, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { Detail, LeftOut, Rendition, Track } from '../../api/model';
import { detailQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { Loaded } from '../../parts/Loaded';
import { useReasonText } from '../../parts/reasonText';
import { Section } from '../../parts/Section';
import { useText } from '../../text/TextProvider';
import type { AssetProps } from './AssetPage';

/** What is in the file, what was made of it, and where it is kept. */
export function Inside({ asset }: AssetProps) {
  const { t } = useText();
  const query = useQuery(detailQuery(asset.id));
  return (
    <Section title={t('inside.title')}>
      <Loaded query={query}>
        {(detail) => (
          <Stack gap="lg">
            <Copies detail={detail} />
            {detail.left_out.length > 0 && <LeftOutTracks tracks={detail.left_out} />}
            {detail.tracks.length > 0 && <Tracks tracks={detail.tracks} />}
            {detail.renditions.length > 0 && <Renditions renditions={detail.renditions} />}
          </Stack>
        )}
      </Loaded>
    </Section>
  );
}

/** In one sentence, this video is kept on A, B and C; where there are several, by site. */
function Copies({ detail }: { detail: Detail }) {
  const { t, language } = useText();
  const { holders } = detail;
  if (holders.length === 0) return <Text>{t('inside.noCopies')}</Text>;
  const places = new Intl.ListFormat(language).format(holders.map((holder) => holder.name));
  const sites = [...new Set(holders.map((holder) => holder.site))].toSorted();
  return (
    <Stack gap="xs">
      <Text>{t('inside.copies', { count: holders.length, places })}</Text>
      <dl className="facts" aria-label={t('inside.sites')}>
        {sites.map((site) => (
          <div key={site}>
            <dt>{t('inside.site', { site })}</dt>
            {holders
              .filter((holder) => holder.site === site)
              .map((holder) => (
                <dd key={holder.node}>{holder.name}</dd>
              ))}
          </div>
        ))}
      </dl>
    </Stack>
  );
}

/** The tracks that are not played, each with the reason. */
function LeftOutTracks({ tracks }: { tracks: LeftOut[] }) {
  const { t } = useText();
  const reasonText = useReasonText();
  const names = { video: 'inside.leftOutVideo', audio: 'inside.leftOutAudio' } as const;
  return (
    <Alert color="yellow" title={t('inside.leftOut', { count: tracks.length })}>
      <List>
        {tracks.map((track) => (
          <List.Item key={`${track.kind} ${track.number}`}>
            {t(track.kind === 'video' ? names.video : names.audio, { number: track.number, codec: track.codec })}{' '}
            {reasonText(track)}
          </List.Item>
        ))}
      </List>
    </Alert>
  );
}

function Tracks({ tracks }: { tracks: Track[] }) {
  const { t, formats } = useText();
  const rows = tracks.map((track, index) => ({ ...track, key: String(index) }));
  return (
    <Stack gap="xs">
      <Title order={3}>{t('inside.tracks')}</Title>
      <DataTable
        label={t('inside.tracks')}
        rows={rows}
        rowKey={(track) => track.key}
        columns={[
          { title: t('inside.kind'), cell: (track) => track.kind },
          { title: t('inside.codec'), cell: (track) => track.codec ?? '–' },
          { title: t('inside.picture'), cell: (track) => pictureOf(track), nowrap: true },
          { title: t('inside.channels'), cell: (track) => track.channels ?? '–' },
          { title: t('language'), cell: (track) => (track.language ? formats.languageName(track.language) : '–') },
        ]}
      />
    </Stack>
  );
}

function Renditions({ renditions }: { renditions: Rendition[] }) {
  const { t, formats } = useText();
  return (
    <Stack gap="xs">
      <Title order={3}>{t('inside.renditions')}</Title>
      <DataTable
        label={t('inside.renditions')}
        rows={renditions}
        rowKey={(rendition) => rendition.id}
        columns={[
          { title: t('field.name'), cell: (rendition) => rendition.id },
          { title: t('inside.picture'), cell: (rendition) => pictureOf(rendition), nowrap: true },
          { title: t('inside.codec'), cell: (rendition) => rendition.codecs ?? '–' },
          {
            title: t('inside.bitrate'),
            nowrap: true,
            cell: (rendition) => (rendition.average_bandwidth ? formats.bitrate(rendition.average_bandwidth) : '–'),
          },
          {
            title: t('field.size'),
            nowrap: true,
            cell: (rendition) => (rendition.size ? formats.bytes(rendition.size) : '–'),
          },
        ]}
      />
    </Stack>
  );
}

function pictureOf(track: { width?: number | null; height?: number | null; frame_rate?: number | null }): string {
  if (!track.width || !track.height) return '–';
  const rate = track.frame_rate ? `, ${Math.round(track.frame_rate * 100) / 100} fps` : '';
  return `${track.width} × ${track.height}${rate}`;
}
