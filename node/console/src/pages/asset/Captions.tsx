import { Button, Group, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import * as api from '../../api/calls';
import type { Asset } from '../../api/model';
import { detailQuery, keys } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { Section } from '../../parts/Section';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { AssetProps } from './AssetPage';

/** Captions as WebVTT files, one for each language. */
export function Captions({ asset, may }: AssetProps) {
  const mayEdit = may('describe');
  const { t, formats } = useText();
  const captions = useQuery(detailQuery(asset.id)).data?.captions ?? [];
  const remove = useAct({
    act: (language: string) => api.deleteCaptions(asset.id, language),
    done: t('captions.removed'),
    touches: [keys.detail(asset.id)],
  });
  return (
    <Section title={t('player.captions')} lead={t('captions.lead')}>
      {captions.length > 0 && (
        <DataTable
          label={t('player.captions')}
          rows={captions}
          rowKey={(caption) => caption.language}
          columns={[
            { title: t('language'), cell: (caption) => caption.label || formats.languageName(caption.language) },
            { title: t('captions.code'), cell: (caption) => caption.language },
            {
              title: t('field.actions'),
              right: true,
              cell: (caption) => (
                <Button
                  size="xs"
                  variant="subtle"
                  color="red"
                  disabled={!mayEdit}
                  onClick={() => remove.mutate(caption.language)}
                  aria-label={t('captions.removeWhat', { language: caption.language })}
                >
                  {t('action.remove')}
                </Button>
              ),
            },
          ]}
        />
      )}
      <AddCaptions asset={asset} mayEdit={mayEdit} />
    </Section>
  );
}

function AddCaptions({ asset, mayEdit }: { asset: Asset; mayEdit: boolean }) {
  const { t, language } = useText();
  const [code, setCode] = useState<string>(language);
  const input = useRef<HTMLInputElement>(null);
  const add = useAct({
    act: async (file: File) => api.putCaptions(asset.id, code.trim(), await file.text()),
    done: t('captions.added'),
    touches: [keys.detail(asset.id)],
  });
  return (
    <Group align="flex-end">
      <TextInput
        label={t('captions.code')}
        description={t('captions.codeHint')}
        readOnly={!mayEdit}
        value={code}
        onChange={(event) => setCode(event.currentTarget.value)}
        w={220}
      />
      <Button
        variant="default"
        disabled={!mayEdit || code.trim() === ''}
        title={mayEdit ? undefined : t('why.role')}
        loading={add.isPending}
        onClick={() => input.current?.click()}
      >
        {t('captions.add')}
      </Button>
      <Text size="xs" c="dimmed">
        {t('captions.hint')}
      </Text>
      <input
        ref={input}
        type="file"
        accept=".vtt,text/vtt"
        className="visually-hidden"
        tabIndex={-1}
        aria-label={t('captions.add')}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = '';
          if (file) add.mutate(file);
        }}
      />
    </Group>
  );
}
