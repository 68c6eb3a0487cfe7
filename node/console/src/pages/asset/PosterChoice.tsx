import { Button, Group, Text } from '@mantine/core';
import { lazy, Suspense, useRef, useState } from 'react';
import * as api from '../../api/calls';
import { keys } from '../../api/queries';
import { Section } from '../../parts/Section';
import { RowsSkeleton } from '../../parts/States';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { AssetProps } from './AssetPage';

const Player = lazy(async () => ({ default: (await import('../../player/Player')).Player }));

const widest = 1280;

/** The picture shown now, as JPEG. */
async function pictureOf(video: HTMLVideoElement): Promise<Blob> {
  const scale = Math.min(1, widest / video.videoWidth);
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height);
  const picture = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', 0.88));
  if (!picture) throw new Error('no picture');
  return picture;
}

/** A look at the video, and its current picture as the poster. Opened by hand: to look is a View, and each View is audited. */
export function PosterChoice({ asset, may }: AssetProps) {
  const mayEdit = may('describe');
  const { t } = useText();
  const [open, setOpen] = useState(false);
  const video = useRef<HTMLVideoElement>(null);
  const save = useAct({
    act: async () => {
      const element = video.current;
      if (!element || element.videoWidth === 0) throw new Error(t('poster.notYet'));
      await api.setPoster(asset.id, await pictureOf(element));
    },
    done: t('poster.done'),
    touches: [keys.asset(asset.id), keys.assets(asset.application)],
  });
  const why = mayEdit ? undefined : t('why.role');
  return (
    <Section title={t('poster.title')} lead={t('poster.lead')}>
      {open && (
        <Suspense fallback={<RowsSkeleton rows={3} />}>
          <Player asset={asset} videoRef={video} />
        </Suspense>
      )}
      <Group>
        {open ? (
          <Button
            variant="default"
            disabled={!mayEdit}
            title={why}
            loading={save.isPending}
            onClick={() => save.mutate()}
          >
            {t('poster.action')}
          </Button>
        ) : (
          <Button variant="default" disabled={!mayEdit} title={why} onClick={() => setOpen(true)}>
            {t('poster.open')}
          </Button>
        )}
        <Text size="xs" c="dimmed">
          {t('poster.hint')}
        </Text>
      </Group>
    </Section>
  );
}
