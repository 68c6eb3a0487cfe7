import { Button, Group, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Download } from 'lucide-react';
import * as api from '../../api/calls';
import { detailQuery } from '../../api/queries';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { AssetProps } from './AssetPage';

/** The original and each quality as one MP4; a link works for one client and for a short time. */
export function Downloads({ asset, may }: AssetProps) {
  const { t } = useText();
  const detail = useQuery(detailQuery(asset.id)).data;
  const start = useAct({
    act: (what: string) => api.download(asset.id, what),
    touches: [],
    after: (made) => {
      // A navigation to an attachment keeps the page and lets the browser show its own progress.
      window.location.assign(made.url);
    },
  });
  const pictures = detail?.renditions.filter((rendition) => rendition.height) ?? [];
  if (asset.state === 'uploading' || asset.trashed_ms) return null;
  return (
    <Section title={t('download.title')} lead={t('download.lead')}>
      <Group>
        <Button
          variant="default"
          leftSection={<Download size={16} />}
          disabled={!may('download_original')}
          title={may('download_original') ? undefined : t('why.role')}
          onClick={() => start.mutate('original')}
        >
          {t('download.original')}
        </Button>
        {asset.state === 'ready' &&
          pictures.map((rendition) => (
            <Button
              key={rendition.id}
              variant="default"
              disabled={!may('download')}
              title={may('download') ? undefined : t('why.role')}
              onClick={() => start.mutate(rendition.id)}
            >
              {t('download.rendition', { height: `${rendition.height}p` })}
            </Button>
          ))}
      </Group>
      {asset.sha256 && (
        <Text size="xs" c="dimmed" className="breakable">
          {t('download.checksum', { hash: asset.sha256 })}
        </Text>
      )}
    </Section>
  );
}
