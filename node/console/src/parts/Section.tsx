import { Group, Paper, Stack, Text, Title } from '@mantine/core';
import { type ReactNode, useId } from 'react';

/** One subject of a page: heading, a line on it, its actions, its content. */
export function Section(props: {
  title: string;
  lead?: string;
  actions?: ReactNode;
  children: ReactNode;
  dangerous?: boolean;
}) {
  const id = useId();
  return (
    <Paper
      withBorder
      p="lg"
      component="section"
      aria-labelledby={id}
      className={props.dangerous ? 'card danger' : 'card'}
    >
      <Stack gap="md">
        <Group justify="space-between" align="flex-start">
          <div className="grow-min">
            <Title order={2} id={id}>
              {props.title}
            </Title>
            {props.lead && (
              <Text size="sm" c="dimmed" mt={2}>
                {props.lead}
              </Text>
            )}
          </div>
          {props.actions}
        </Group>
        {props.children}
      </Stack>
    </Paper>
  );
}
