import { ActionIcon, Button, Group, Paper, Stack, Text, Title, Tooltip } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { CloudUpload, X } from 'lucide-react';
import { type DragEvent, useRef, useState } from 'react';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { useText } from '../../text/TextProvider';
import { forgetInterrupted, interruptedUploads, uploads } from '../../upload/queue';
import { UploadList } from '../../upload/UploadList';
import { useUploads } from '../../upload/useUploads';

/** Drop or pick files; each goes its own way to the node. */
export function UploadPage() {
  const { t } = useText();
  const { app } = useParams({ from: '/inside/a/$app/upload' });
  return (
    <Page
      title={t('upload.title')}
      lead={t('upload.lead')}
      narrow
      actions={
        <ButtonLink variant="default" to="/a/$app/library" params={{ app }}>
          {t('upload.toLibrary')}
        </ButtonLink>
      }
    >
      <DropArea take={(files) => uploads.add(app, files)} />
      <InterruptedList app={app} />
      <UploadList application={app} />
    </Page>
  );
}

function DropArea({ take }: { take: (files: File[]) => void }) {
  const { t } = useText();
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take([...event.dataTransfer.files]);
  };
  return (
    <section
      className="drop"
      data-over={over || undefined}
      aria-label={t('upload.drop')}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <Stack align="center" gap="sm">
        <span className="empty-icon" aria-hidden="true">
          <CloudUpload />
        </span>
        <Title order={2}>{t('upload.drop')}</Title>
        <Text c="dimmed" size="sm" ta="center">
          {t('upload.dropHint')}
        </Text>
        <Button onClick={() => input.current?.click()}>{t('upload.pick')}</Button>
        <input
          ref={input}
          type="file"
          multiple
          className="visually-hidden"
          tabIndex={-1}
          aria-label={t('upload.pick')}
          onChange={(event) => {
            take([...(event.currentTarget.files ?? [])]);
            event.currentTarget.value = '';
          }}
        />
      </Stack>
    </section>
  );
}

/** Files whose upload broke off with the last tab: choosing them again goes on. */
function InterruptedList({ app }: { app: string }) {
  const { t, formats } = useText();
  const client = useQueryClient();
  const begun = useUploads().length;
  const queryKey = ['interrupted', begun];
  const found = useQuery({ queryKey, queryFn: interruptedUploads, gcTime: 0 }).data ?? [];
  const mine = found.filter((one) => one.application === app);
  if (mine.length === 0) return null;
  return (
    <Paper withBorder p="md" component="section" aria-labelledby="interrupted">
      <Title order={2} id="interrupted">
        {t('upload.interrupted')}
      </Title>
      <Text size="sm" c="dimmed" mb="sm">
        {t('upload.interruptedHint')}
      </Text>
      <ul className="plain-list">
        {mine.map((one) => (
          <li key={one.storageKey}>
            <Group justify="space-between" wrap="nowrap">
              <Text size="sm" className="breakable">
                {one.name} · {formats.bytes(one.size)}
              </Text>
              <Tooltip label={t('upload.forget', { name: one.name })}>
                <ActionIcon
                  aria-label={t('upload.forget', { name: one.name })}
                  onClick={() =>
                    void forgetInterrupted(one.storageKey).then(() => client.invalidateQueries({ queryKey }))
                  }
                >
                  <X size={18} />
                </ActionIcon>
              </Tooltip>
            </Group>
          </li>
        ))}
      </ul>
    </Paper>
  );
}
