import { Group, Stack, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';

/** The frame of a page: its one `h1`, a line on what it is for, its actions; names the browser tab. */
export function Page(props: {
  title: string;
  lead?: string;
  actions?: ReactNode;
  children: ReactNode;
  narrow?: boolean;
}) {
  useEffect(() => {
    document.title = `${props.title} · mediakeep`;
  }, [props.title]);
  return (
    <Stack gap="lg" className={props.narrow ? 'page page-narrow' : 'page'}>
      <Group justify="space-between" align="flex-start" gap="sm">
        <div className="page-head">
          <Title order={1} className="breakable">
            {props.title}
          </Title>
          {props.lead && (
            <Text c="dimmed" size="sm" mt={4}>
              {props.lead}
            </Text>
          )}
        </div>
        {props.actions && <Group gap="xs">{props.actions}</Group>}
      </Group>
      {props.children}
    </Stack>
  );
}
